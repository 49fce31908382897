"""The dock Train: scenes, split, batch, estimate and start; in a real viewer where there is something to see in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import napari
import numpy as np
import pytest
import yaml
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.colorimetry import encode_srgb
from napari_drcr.io import read_cube
from napari_drcr.training.config import read_config
from napari_drcr.training.dataset import propose_split
from napari_drcr.training.jobs import list_runs, read_run, stop
from napari_drcr.training.jobs.folder import runs_folder
from napari_drcr.training.preview import preview_batch
from napari_drcr.widgets.reconstruct import Reconstruct
from napari_drcr.widgets.train import Train
from napari_drcr.widgets.train.batch_preview import CUBE_NAME, RGB_NAME
from napari_drcr.widgets.train.data_panel import LOOKING, NO_SCENES
from napari_drcr.widgets.train.launch import CANCEL, ESTIMATE
from napari_drcr.widgets.train.scene_table import BY_FOLDER, HELD_BACK, NAME, REMARKS, SIZE, UNNAMEABLE
from napari_drcr.widgets.train.survey_words import NOTHING_HELD_BACK
from napari_drcr.widgets.viewer.dock import show_dock
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, is_cube_layer

pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]
PATIENCE = 100_000  # milliseconds; two cores may be busy with other things
TINY = {
    "name": "tiny",
    "device": "cpu",
    "network": {"channels": 8, "blocks": 1},
    "data": {"patch": 16},
    "learning": {"steps": 100_000, "batch": 4, "validate_every": 4, "precision": "fp32"},
}


@pytest.fixture
def stopped_runs() -> Iterator[None]:
    """Leave no process behind."""
    yield
    for run in list_runs():
        if run.alive:
            stop(run.folder)
    end = time.monotonic() + PATIENCE / 1000
    while any(run.alive for run in list_runs()):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five small scenes side by side."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed, name in enumerate(("leaf", "soil", "stone", "water", "wood"), start=1):
        nd.write_cube(folder / f"{name}.nc", synthetic_scene(32, 48, seed=seed))
    return folder


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    return make_napari_viewer(show=True)


@pytest.fixture
def dock(qtbot: QtBot) -> Iterator[Train]:
    """Without a window around it."""
    dock = Train(ViewerModel())
    qtbot.addWidget(dock)
    dock.show()
    dock.form.set_content(TINY)
    yield dock
    dock.detach()


def open_dock(viewer: napari.Viewer) -> Train:
    _, dock = viewer.window.add_plugin_dock_widget("napari-drcr", "Train")
    dock.form.set_content(TINY)
    return dock


def choose(dock: Train, folder: Path, qtbot: QtBot) -> None:
    dock.data.choose(folder)
    wait_for_survey(dock, qtbot)


def wait_for_survey(dock: Train, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not dock.data.looking, timeout=PATIENCE)


def row_of(dock: Train, name: str) -> int:
    return next(row for row in range(dock.data.table.rowCount()) if dock.data.table.item(row, NAME).text() == name)


def cell(dock: Train, name: str, column: int) -> str:
    return dock.data.table.item(row_of(dock, name), column).text()


def held_back(dock: Train) -> list[str]:
    table = dock.data.table
    rows = range(table.rowCount())
    return [table.item(row, NAME).text() for row in rows if table.item(row, HELD_BACK).checkState() == Qt.CheckState.Checked]


def validation_of(dock: Train) -> list[str]:
    return dock.form.content["data"].get("validation", [])


def toggle(dock: Train, name: str) -> None:
    box = dock.data.table.item(row_of(dock, name), HELD_BACK)
    checked = box.checkState() == Qt.CheckState.Checked
    box.setCheckState(Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked)


def test_an_empty_dock_says_what_is_missing(dock: Train, qtbot: QtBot) -> None:
    wait_for_survey(dock, qtbot)
    assert not dock.launch.start_button.isEnabled()
    assert dock.data.summary.text() == dock.launch.reason.text() == NO_SCENES
    assert "no scenes yet" in dock.launch.start_button.toolTip()
    assert not dock.data.batch.button.isEnabled()
    assert dock.data.table.rowCount() == 0


def test_a_folder_is_chosen_surveyed_and_what_is_wrong_is_named(
    dock: Train, folder: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    whole = (folder / "soil.nc").read_bytes()
    (folder / "soil.nc").write_bytes(whole[: len(whole) // 8])
    (folder / "page.mat").write_text("<html>Sign in to download</html>")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.mouseClick(dock.data.choose_button, Qt.MouseButton.LeftButton)
    assert dock.data.hindrance == LOOKING
    wait_for_survey(dock, qtbot)
    assert dock.form.content["data"]["folder"] == dock.data.folder.text() == str(folder)
    assert dock.data.summary.text() == "Cubes side by side: 5 to train with, 0 held back, 1 not usable, 1 left out."
    assert (cell(dock, "leaf", SIZE), cell(dock, "leaf", REMARKS)) == ("32 \N{MULTIPLICATION SIGN} 48", "")
    assert cell(dock, "soil", REMARKS).startswith("soil.nc cannot be read: the file is damaged")
    assert "the file is damaged" in dock.data.table.item(row_of(dock, "soil"), REMARKS).toolTip()
    assert cell(dock, "page", REMARKS).startswith("left out; page.mat cannot be read: this is a web page")
    assert dock.data.problems.error == f"{NOTHING_HELD_BACK} There is more in the table (1)."
    dock.data.table.selectRow(row_of(dock, "soil"))
    assert dock.data.status.text() == f"soil: {cell(dock, 'soil', REMARKS)}."
    dock.data.split()
    wait_for_survey(dock, qtbot)
    assert dock.data.problems.error.startswith("soil: soil.nc cannot be read: the file is damaged")
    assert not dock.launch.reason.isVisible()
    dock.tabs.setCurrentWidget(dock.form)
    assert dock.launch.reason.isVisible()
    assert dock.launch.reason.text() == dock.data.problems.error
    assert not dock.launch.start_button.isEnabled()
    (folder / "soil.nc").write_bytes(whole)
    qtbot.mouseClick(dock.data.again_button, Qt.MouseButton.LeftButton)
    wait_for_survey(dock, qtbot)
    assert dock.launch.reason.text() == dock.data.problems.error == ""
    assert dock.launch.start_button.isEnabled()


def test_measured_reflectances_are_counted_and_what_is_wrong_with_them_is_told(
    dock: Train, folder: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "leaves.csv").write_text("wavelength (nm),green,dry\n400,0.05,0.1\n700,0.2,0.6\n", encoding="utf-8")
    dock.form.set_content(TINY | {"reflectances": {"files": [str(tmp_path / "leaves.csv")], "share": 0.5}})
    dock.data.choose(folder, ["wood"])
    wait_for_survey(dock, qtbot)
    words = "Cubes side by side: 4 to train with, 1 held back. Mixed in: 2 measured reflectances in 1 collection (leaves 2)."
    assert (dock.data.summary.text(), dock.data.hindrance) == (words, "")
    dock.form.rows["reflectances.left_out"].editor.set_value(["leafs"])
    wait_for_survey(dock, qtbot)
    assert dock.data.hindrance.startswith("reflectances.left_out names leafs, but the collections are leaves")


def test_a_folder_that_is_not_there_is_told(dock: Train, tmp_path: Path, qtbot: QtBot) -> None:
    choose(dock, tmp_path / "nowhere", qtbot)
    assert "does not exist" in dock.data.problems.error
    assert "does not exist" in dock.launch.reason.text()
    dock.form.rows["data.folder"].editor.set_value(None)
    qtbot.waitUntil(lambda: dock.launch.reason.text() == NO_SCENES)
    wait_for_survey(dock, qtbot)
    assert dock.data.problems.error == ""


def test_values_are_read_when_asked_for(dock: Train, folder: Path, qtbot: QtBot) -> None:
    cube = synthetic_scene(32, 48, seed=1)
    cube[3, :16] = 0
    nd.write_cube(folder / "leaf.nc", cube)
    choose(dock, folder, qtbot)
    assert cell(dock, "leaf", REMARKS) == ""
    qtbot.mouseClick(dock.data.values, Qt.MouseButton.LeftButton)
    wait_for_survey(dock, qtbot)
    assert "768 values" in cell(dock, "leaf", REMARKS)


def test_the_split_is_proposed_edited_and_reaches_the_file(dock: Train, folder: Path, tmp_path: Path, qtbot: QtBot) -> None:
    choose(dock, folder, qtbot)
    dock.data.split_choice.share.setValue(40)
    dock.data.split_choice.seed.setValue(3)
    qtbot.mouseClick(dock.data.split_choice.button, Qt.MouseButton.LeftButton)
    proposed = propose_split(["leaf", "soil", "stone", "water", "wood"], 0.4, 3)
    wait_for_survey(dock, qtbot)
    assert held_back(dock) == validation_of(dock) == proposed
    other = next(name for name in ("leaf", "soil") if name not in proposed)
    toggle(dock, other)
    toggle(dock, proposed[0])
    wait_for_survey(dock, qtbot)
    dock.form.save_yaml(tmp_path / "run.yaml")
    assert list(read_config(tmp_path / "run.yaml").data.validation) == sorted([other, proposed[1]]) == held_back(dock)
    # The other way round: what a file says is shown.
    content = yaml.safe_load((tmp_path / "run.yaml").read_text())
    content["data"]["validation"] = ["wood"]
    dock.form.set_content(content)
    wait_for_survey(dock, qtbot)
    assert held_back(dock) == ["wood"]


def test_what_the_folder_holds_back_and_what_cannot_be_named_stays(dock: Train, folder: Path, qtbot: QtBot) -> None:
    (folder / "Train_spectral").mkdir()
    (folder / "Valid_spectral").mkdir()
    for name in ("leaf", "soil"):
        (folder / f"{name}.nc").rename(folder / "Train_spectral" / f"{name}, wet.nc")
    (folder / "wood.nc").rename(folder / "Valid_spectral" / "wood.nc")
    choose(dock, folder, qtbot)
    boxes = [dock.data.table.item(row_of(dock, name), HELD_BACK) for name in ("wood", "leaf, wet")]
    assert [box.toolTip() for box in boxes] == [BY_FOLDER, UNNAMEABLE]
    assert not any(box.flags() & Qt.ItemFlag.ItemIsUserCheckable for box in boxes)
    assert not dock.data.split_choice.button.isEnabled()
    assert dock.data.summary.text().startswith("ARAD_1K, as for DRCR Net: 2 to train with, 1 held back")


def test_images_are_asked_for_where_rgb_comes_from_files(dock: Train, folder: Path, qtbot: QtBot) -> None:
    choose(dock, folder, qtbot)
    dock.data.rgb.setCurrentIndex(1)
    dock.data.rgb.activated.emit(1)
    wait_for_survey(dock, qtbot)
    assert dock.form.content["data"]["rgb"] == "files"
    assert cell(dock, "leaf", REMARKS) == "has no image of the same name, though data.rgb is 'files'"


def test_a_batch_is_shown_as_layers(viewer: napari.Viewer, folder: Path, qtbot: QtBot) -> None:
    dock = open_dock(viewer)
    choose(dock, folder, qtbot)
    dock.data.split()
    qtbot.mouseClick(dock.data.batch.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.data.batch.making, timeout=PATIENCE)
    rgb, cubes = viewer.layers
    assert (rgb.name, cubes.name) == (RGB_NAME, CUBE_NAME)
    assert (rgb.data.shape, cubes.data.shape) == ((34, 34, 3), (31, 34, 34))
    assert is_cube_layer(cubes)
    expected_rgb, expected, names = preview_batch(dock.form.config)
    np.testing.assert_array_equal(cubes.data[:, 18:, :16], expected[2])
    np.testing.assert_allclose(rgb.data[18:, :16], encode_srgb(expected_rgb[2]), atol=1e-6)
    assert dock.data.status.text() == f"Patches, row by row: {', '.join(names)}."
    dock.data.preview()
    qtbot.waitUntil(lambda: not dock.data.batch.making, timeout=PATIENCE)
    assert len(viewer.layers) == 2
    assert dock.data.open_cubes.list.count() == 0
    assert not np.array_equal(viewer.layers[1].data, cubes.data)


def test_a_look_through_many_scenes_can_be_cancelled(dock: Train, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "scenes").mkdir()
    nd.write_cube(tmp_path / "scene.mat", synthetic_scene(16, 16))
    for number in range(200):
        (tmp_path / "scenes" / f"scene {number:03}.mat").symlink_to(tmp_path / "scene.mat")
    dock.data.choose(tmp_path / "scenes")
    qtbot.waitUntil(lambda: dock.data.table.rowCount() > 5, timeout=PATIENCE)
    dock.data.cancel_button.click()
    wait_for_survey(dock, qtbot)
    assert dock.data.table.rowCount() < 200
    assert dock.data.summary.text() == "Cancelled: not all scenes were looked at."
    dock.data.again_button.click()
    qtbot.waitUntil(lambda: dock.data.survey is not None, timeout=PATIENCE)
    assert dock.data.table.rowCount() == 200


def test_cubes_that_are_open_become_a_folder_of_their_own(qtbot: QtBot) -> None:
    viewer = ViewerModel()
    dock = Train(viewer)
    qtbot.addWidget(dock)
    dock.form.set_content(TINY)
    assert not dock.data.open_cubes.button.isEnabled()
    for seed, name in enumerate(("leaf", "leaf/wet", "soil"), start=1):
        values, properties, _ = cube_to_layer_data(synthetic_scene(32, 48, seed=seed))
        viewer.add_image(values, **properties | {"name": name})
    viewer.add_image(np.zeros((8, 8)))
    values, properties, _ = cube_to_layer_data(synthetic_scene(32, 48).assign_attrs(model="photo"))
    viewer.add_image(values, **properties | {"name": "an estimate"})
    boxes = dock.data.open_cubes.list
    assert [boxes.item(row).text() for row in range(boxes.count())] == ["leaf", "leaf/wet", "soil"]
    boxes.item(2).setCheckState(Qt.CheckState.Unchecked)
    viewer.layers[0].name = "young leaf"
    qtbot.mouseClick(dock.data.open_cubes.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.data.working and bool(dock.data.folder.text()), timeout=PATIENCE)
    wait_for_survey(dock, qtbot)
    written = Path(dock.data.folder.text())
    assert written.parent == runs_folder()
    assert sorted(path.name for path in written.iterdir()) == ["leaf_wet.nc", "young leaf.nc"]
    np.testing.assert_array_equal(read_cube(written / "young leaf.nc"), viewer.layers[0].data)
    assert len(held_back(dock)) == 1
    assert dock.data.hindrance == ""
    dock.detach()


def test_time_and_memory_are_estimated(dock: Train, folder: Path, qtbot: QtBot) -> None:
    choose(dock, folder, qtbot)
    dock.data.split()
    wait_for_survey(dock, qtbot)
    qtbot.mouseClick(dock.launch.estimate_button, Qt.MouseButton.LeftButton)
    assert dock.launch.estimate_button.text() == CANCEL
    qtbot.mouseClick(dock.launch.estimate_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.launch.estimating, timeout=PATIENCE)
    assert (dock.launch.estimate_button.text(), dock.launch.status.text()) == (ESTIMATE, "")
    dock.launch.estimate()
    qtbot.waitUntil(lambda: not dock.launch.estimating, timeout=PATIENCE)
    assert dock.launch.status.text().startswith("On cpu in fp32: about ")
    assert dock.launch.status.text().endswith(" for all 100,000 steps.")


def test_a_wrong_setting_keeps_one_from_starting(dock: Train, folder: Path, qtbot: QtBot) -> None:
    choose(dock, folder, qtbot)
    dock.data.split()
    dock.launch.name.clear()
    with qtbot.waitSignal(dock.form.checked, timeout=PATIENCE):
        qtbot.keyClicks(dock.launch.name, "-tiny")
    wait_for_survey(dock, qtbot)
    assert dock.form.rows["name"].error
    assert not dock.launch.start_button.isEnabled()
    assert "needs a letter or digit first" in dock.launch.reason.text().lower()
    dock.launch.name.clear()
    with qtbot.waitSignal(dock.form.checked, timeout=PATIENCE):
        qtbot.keyClicks(dock.launch.name, "leaves")
    assert dock.form.content["name"] == "leaves"
    assert dock.launch.start_button.isEnabled()


def test_what_keeps_a_run_from_starting_is_said(dock: Train, folder: Path, qtbot: QtBot) -> None:
    choose(dock, folder, qtbot)
    dock.data.split()
    wait_for_survey(dock, qtbot)
    runs_folder().parent.mkdir(parents=True)
    runs_folder().write_text("in the way")
    qtbot.mouseClick(dock.launch.start_button, Qt.MouseButton.LeftButton)
    assert not dock.launch.start_button.isEnabled()
    qtbot.waitUntil(lambda: not dock.launch.starting, timeout=PATIENCE)
    assert "cannot be made" in dock.launch.status.text()
    assert dock.launch.start_button.isEnabled()
    # Not checked by the form as yet.
    dock.form.rows["learning.learning_rate"].editor.set_value("fast")
    dock.launch.start()
    qtbot.waitUntil(lambda: not dock.launch.starting, timeout=PATIENCE)
    assert dock.launch.status.text().startswith("The form: learning.learning_rate is 'fast'")


@pytest.mark.usefixtures("stopped_runs")
def test_start_makes_a_run_that_outlives_the_dock(viewer: napari.Viewer, folder: Path, qtbot: QtBot) -> None:
    dock = open_dock(viewer)
    choose(dock, folder, qtbot)
    dock.data.split()
    wait_for_survey(dock, qtbot)
    config = dock.form.config
    with qtbot.waitSignal(dock.launch.started, timeout=PATIENCE) as started:
        qtbot.mouseClick(dock.launch.start_button, Qt.MouseButton.LeftButton)
    run_folder = started.args[0]
    assert run_folder.parent == runs_folder()
    assert run_folder.name.startswith("tiny-")
    assert read_config(run_folder / "config.yaml") == config
    assert read_run(run_folder).alive
    assert dock.tabs.tabText(dock.tabs.currentIndex()) == "Runs"
    assert not dock.launch.isVisible()
    qtbot.waitUntil(lambda: dock.runs.selected is not None and dock.runs.selected.folder == run_folder, timeout=PATIENCE)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: read_run(run_folder).state not in ("queued", "preparing"), timeout=PATIENCE)
    assert read_run(run_folder).state == "running", read_run(run_folder).cause
    # The next dock finds it, its settings and its model.
    again = open_dock(viewer)
    again.tabs.setCurrentIndex(2)
    qtbot.waitUntil(lambda: again.runs.selected is not None and again.runs.use_button.isEnabled(), timeout=PATIENCE)
    again.runs.settings_button.click()
    assert again.tabs.currentWidget() is again.form
    assert again.form.config == config
    again.runs.use_button.click()
    assert show_dock(Reconstruct, viewer).model.value == str(run_folder / "model.safetensors")


def test_closing_the_dock_ends_what_it_does(viewer: napari.Viewer, folder: Path) -> None:
    dock = open_dock(viewer)
    dock.data.choose(folder)
    dock.launch.estimate()
    viewer.window.remove_dock_widget(dock)
    assert not dock.data.looking
    assert not dock.launch.estimating
    viewer.add_image(np.zeros((8, 8)))
