"""The panel Runs with real runs in processes of their own: followed, stopped, resumed, killed, used, exported, deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

import napari_drcr as nd
from napari_drcr.training import jobs
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs.folder import read_status, update_status
from napari_drcr.training.jobs.records import Preview, write_metrics, write_preview
from napari_drcr.training.sections import TrainingConfig
from napari_drcr.widgets.train.run_charts import relative_errors
from napari_drcr.widgets.train.run_log import LogDialog
from napari_drcr.widgets.train.run_record import BINS, RunReader, envelope, read_log, running_mean
from napari_drcr.widgets.train.runs_panel import NO_RUNS, RunsPanel

PATIENCE = 100_000  # ms; two cores may be busy with other things
pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]
MakePanel = Callable[[], RunsPanel]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where the runs are; whatever a failed test leaves running ends here."""
    yield tmp_path / "runs"
    for run in jobs.list_runs(tmp_path / "runs"):
        if run.alive:
            jobs.stop(run.folder)


@pytest.fixture
def make_panel(make_napari_viewer: Callable[..., napari.Viewer], home: Path) -> Iterator[MakePanel]:
    viewer = make_napari_viewer(show=True)
    panels = []

    def make() -> RunsPanel:
        panel = RunsPanel(viewer, home)
        viewer.window.add_dock_widget(panel, name="Runs", area="right")
        panels.append(panel)
        return panel

    yield make
    for panel in panels:
        panel.detach()


def wait_for_state(panel: RunsPanel, state: str, qtbot: QtBot) -> None:
    def there() -> bool:
        assert panel.selected is None or state == "crashed" or panel.selected.state != "crashed", panel.told.text()
        return panel.selected is not None and panel.selected.state == state and not panel.working

    qtbot.waitUntil(there, timeout=PATIENCE)


def click(button: QPushButton, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=PATIENCE)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def steps_drawn(panel: RunsPanel) -> int:
    axes = panel.curves.sheet.figure.axes if panel.curves.sheet else []
    return int(axes[0].lines[0].get_xdata()[-1]) if axes else 0


def cells(panel: RunsPanel, row: int) -> list[str]:
    return [panel.table.item(row, column).text() for column in range(panel.table.columnCount())]


def test_it_says_what_to_do_where_there_are_no_runs(make_panel: MakePanel, qtbot: QtBot) -> None:
    panel = make_panel()
    qtbot.waitSignal(panel.refreshed).wait()
    assert panel.selected is None
    assert [widget.isVisible() for widget in (panel._empty, panel.table, panel.curves, panel.stop_button)] == [
        True, False, False, False
    ]  # fmt: skip
    assert panel._empty.text() == NO_RUNS


def test_a_run_is_followed_stopped_resumed_and_killed(
    make_panel: MakePanel, config: TrainingConfig, home: Path, qtbot: QtBot
) -> None:
    folder = home / "leaves"
    panel = make_panel()
    panel.choose(folder)
    jobs.prepare(config, folder)
    wait_for_state(panel, "stopped", qtbot)
    assert (panel.told.text(), panel.resume_button.text()) == ("Ready to start.", "Start")
    assert not any(button.isEnabled() for button in (panel.stop_button, panel.use_button, panel.export_button))

    click(panel.resume_button, qtbot)
    wait_for_state(panel, "running", qtbot)
    qtbot.waitUntil(lambda: steps_drawn(panel) > 4 and panel.preview.sheet is not None, timeout=PATIENCE)
    seen = steps_drawn(panel)
    qtbot.waitUntil(lambda: steps_drawn(panel) > seen, timeout=PATIENCE)
    assert panel.told.text().startswith("Running on cpu: step ")
    assert "left" in panel.told.text()
    name, step, left, best = cells(panel, 0)
    assert name == "leaves\nrunning, cpu"
    assert "of 100,000\nepoch " in step
    assert float(best) == pytest.approx(panel.selected.status.best, abs=1e-4)
    assert panel.table.horizontalHeaderItem(3).text() == "Best\nMRAE@0.01"
    assert any(unit in left for unit in ("min", "h"))
    titles = [axes.get_title(loc="left") for axes in panel.curves.sheet.figure.axes]
    assert titles == ["Loss of each step and running mean", "Validation MRAE@0.01", "Learning rate"]
    spectra = panel.preview.sheet.figure.axes[-1]
    assert spectra.get_title(loc="left").startswith("Step ")
    assert [line.get_label() for line in spectra.lines] == ["true", "estimated"]
    assert not any(button.isEnabled() for button in (panel.resume_button, panel.delete_button))

    click(panel.stop_button, qtbot)
    qtbot.waitUntil(lambda: panel.stop_button.text().startswith("Stopping") or not panel.selected.alive, timeout=PATIENCE)
    wait_for_state(panel, "stopped", qtbot)
    assert (panel.stop_button.text(), panel.resume_button.text()) == ("Stop", "Resume")
    kept = panel.selected.status.step
    assert panel.told.text() == f"Stopped at step {kept:,} of 100,000."

    click(panel.resume_button, qtbot)
    qtbot.waitUntil(lambda: panel.selected.state == "running" and steps_drawn(panel) > kept, timeout=PATIENCE)
    os.kill(read_status(folder).process, 9)
    wait_for_state(panel, "crashed", qtbot)
    assert "it ended without reporting why: it was killed" in panel.told.text()
    assert cells(panel, 0)[0] == "leaves\ncrashed, cpu"

    click(panel.log_button, qtbot)
    qtbot.waitUntil(lambda: bool(panel.findChildren(LogDialog)), timeout=PATIENCE)
    dialog = panel.findChild(LogDialog)
    assert f"stopped at step {kept}" in dialog.text.toPlainText()
    assert dialog.text.isReadOnly()
    dialog.close()


def test_a_finished_run_is_used_exported_and_deleted(
    make_panel: MakePanel, config: TrainingConfig, home: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "leaves"
    jobs.prepare(make_config(config.model_dump(), learning__steps=8), folder)
    jobs.prepare(config, home / "other")
    panel = make_panel()
    panel.choose(folder)
    click(panel.resume_button, qtbot)
    wait_for_state(panel, "finished", qtbot)
    assert panel.told.text() == "Finished after 8 steps."
    assert panel.table.item(panel.table.currentRow(), 0).text().startswith("leaves")  # though it has moved up
    assert not any(button.isEnabled() for button in (panel.stop_button, panel.resume_button))

    with qtbot.waitSignal(panel.use_requested) as used:
        click(panel.use_button, qtbot)
    assert used.args == [folder / "model.safetensors"]
    with qtbot.waitSignal(panel.settings_requested) as asked:
        click(panel.settings_button, qtbot)
    assert asked.args == [folder / "config.yaml"]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "leaves"), ""))
    click(panel.export_button, qtbot)
    exported = tmp_path / "leaves.safetensors"
    qtbot.waitUntil(lambda: not panel.working, timeout=PATIENCE)
    assert panel.status.text() == f"Written to {exported}."
    assert nd.load_model(exported).sha256 == nd.load_model(folder / "model.safetensors").sha256
    assert "validation MRAE@0.01" in nd.load_model(exported).card.scores
    click(panel.export_button, qtbot)
    assert panel.status.text() == "leaves.safetensors is there already; give its whole name to replace it."
    for path, complaint in (
        (tmp_path / "leaves.pth", "A model is written as"),
        (tmp_path / "no" / "x.safetensors", "does not exist"),
    ):
        panel.export(path)
        qtbot.waitUntil(lambda: not panel.working, timeout=PATIENCE)
        assert complaint in panel.status.text()
    (folder / "model.safetensors").write_bytes(b"broken")
    panel.export(exported)
    qtbot.waitUntil(lambda: not panel.working, timeout=PATIENCE)
    assert exported.stat().st_size > 1000

    def answer(button: QMessageBox.StandardButton) -> None:
        click(panel.delete_button, qtbot)
        box = panel.findChild(QMessageBox)
        assert box.text() == "Delete leaves and its model? It cannot be undone."
        qtbot.mouseClick(box.button(button), Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not panel.findChildren(QMessageBox) and not panel.working, timeout=PATIENCE)

    answer(QMessageBox.StandardButton.Cancel)
    assert folder.exists()
    answer(QMessageBox.StandardButton.Yes)
    qtbot.waitUntil(lambda: panel.selected is not None and panel.selected.name == "other", timeout=PATIENCE)
    assert not folder.exists()
    assert panel.table.rowCount() == 1


def test_closing_leaves_no_timer_and_the_run_running(
    make_panel: MakePanel, config: TrainingConfig, home: Path, qtbot: QtBot
) -> None:
    folder, waiting = home / "leaves", home / "waiting"
    panel = make_panel()
    for each in (folder, waiting):
        jobs.prepare(config, each)
    panel.choose(folder)
    click(panel.resume_button, qtbot)
    wait_for_state(panel, "running", qtbot)
    panel.choose(waiting)
    click(panel.resume_button, qtbot)
    wait_for_state(panel, "queued", qtbot)
    qtbot.waitUntil(lambda: panel.told.text() == "Waits until no other run uses cpu.", timeout=PATIENCE)
    click(panel.stop_button, qtbot)
    wait_for_state(panel, "stopped", qtbot)

    panel.hide()
    assert not any(timer.isActive() for timer in panel.findChildren(QTimer))
    panel.show()
    assert any(timer.isActive() for timer in panel.findChildren(QTimer))
    panel.detach()
    assert not any(timer.isActive() for timer in panel.findChildren(QTimer))
    again = make_panel()
    again.choose(folder)
    wait_for_state(again, "running", qtbot)
    seen = steps_drawn(again)
    qtbot.waitUntil(lambda: steps_drawn(again) > seen, timeout=PATIENCE)
    click(again.stop_button, qtbot)
    wait_for_state(again, "stopped", qtbot)


def test_a_strangers_run_is_shown_as_it_is(make_panel: MakePanel, config: TrainingConfig, home: Path, qtbot: QtBot) -> None:
    folder = home / "<b>gift"
    jobs.prepare(config, folder)
    cause = "<img src='x'> [\x1b[2J"
    update_status(folder, state="crashed", cause=cause, metric="score@much", step=-5, steps=3, best=1e300)
    (folder / "metrics.csv").write_text("step,loss\n1,many\n", encoding="utf-8")
    (folder / "losses.csv").write_text("step,loss,learning_rate\n1,nan,0\n2,-1,inf\n", encoding="utf-8")
    bands = np.full((31, 4, 5), np.nan, np.float16)
    write_preview(folder, Preview(1, "$\\frac{1}$", np.full((3, 4, 5), np.inf, np.float16), bands, bands))
    panel = make_panel()
    wait_for_state(panel, "crashed", qtbot)
    qtbot.waitUntil(lambda: "is damaged" in panel.told.text() and steps_drawn(panel) == 2, timeout=PATIENCE)
    assert cause in panel.told.text()
    assert "gift" in panel.table.item(0, 0).text()
    write_preview(folder, Preview(1, "x", np.ones((2, 4, 5), np.float16), bands, bands))
    assert RunReader(folder).read().preview is None


def test_a_reader_reads_only_what_has_changed(config: TrainingConfig, home: Path) -> None:
    folder = home / "leaves"
    jobs.prepare(config, folder)
    reader = RunReader(folder)
    assert reader.read() is reader.read()
    write_metrics(folder, [{"step": 4, "loss": 0.5, "mrae": 0.25, "learning_rate": 0.1, "seconds": 1}])
    first = reader.read()
    assert first.scores.tolist() == [[4, 0.25]]
    assert reader.read() is first
    with pytest.raises(nd.InputError, match="has no log yet"):
        read_log(folder, 10)
    (folder / "log.txt").write_text("\n".join(map(str, range(5000))), encoding="utf-8")
    assert read_log(folder, 3) == "4997\n4998\n4999"
    (folder / "output.txt").write_text("printed\n", encoding="utf-8")
    assert read_log(folder, 1) == "4999\n\nPrinted by its process:\nprinted"


def test_long_curves_keep_their_peaks() -> None:
    steps = np.arange(1, 300_001, dtype=float)
    values = np.random.default_rng(0).uniform(0.4, 0.6, steps.size)
    values[123_456], values[234_567] = 9, 0.01
    began = time.perf_counter()
    curve = envelope(steps, values)
    assert time.perf_counter() - began < 1
    assert len(curve) <= 2 * BINS + 2
    assert [123_457, 9.0] in curve.tolist()
    assert [234_568, 0.01] in curve.tolist()
    assert (np.diff(curve[:, 0]) > 0).all()
    mean = running_mean(values)
    assert mean[-1] == pytest.approx(values[-6000:].mean())
    assert running_mean(np.array([2.0, 4.0])).tolist() == [2.0, 3.0]


def test_errors_below_the_floor_do_not_count() -> None:
    truth, estimate = np.full((31, 1, 2), 0.5), np.full((31, 1, 2), 0.6)
    truth[:30, 0, 0] = 0.001
    truth[:, 0, 1] = 0
    errors = relative_errors(truth, estimate, "MRAE@0.01")
    assert errors[0, 0] == pytest.approx(0.2)
    assert np.isnan(errors[0, 1])
