"""The panel Runs: trainings, their curves, and what can be done with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QMessageBox, QPushButton, QWidget

from napari_drcr.errors import InputError
from napari_drcr.system.files import atomic_path
from napari_drcr.training import jobs
from napari_drcr.training.jobs import RunState
from napari_drcr.training.jobs.folder import CONFIG, duration
from napari_drcr.widgets.train.run_log import LINES, LogDialog
from napari_drcr.widgets.train.run_record import RunReader, RunRecord, Seen, look, read_log
from napari_drcr.widgets.train.run_table import RunTable
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained, file_to_save
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import stack

INTERVAL = 1000
"""Milliseconds between two looks at the runs."""
NO_RUNS = "There are no runs yet. Set one up and start it; it goes on when napari is closed, and is listed here again."
SUFFIX = ".safetensors"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class RunsPanel(QWidget):
    """All trainings, and one of them in detail.

    Runs are processes of their own: closing the panel, or napari, leaves them running. The panel looks at their folders once a
    second while it is visible, in a thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme the curves take.
    folder : Path, optional
        Of run folders; by default where new runs are kept.

    Attributes
    ----------
    use_requested, settings_requested : Signal(Path)
        The model of a run is to be used, or its configuration to be opened.
    refreshed : Signal
        What is shown is as the last look has seen it.
    table : RunTable
        The runs.
    curves, preview : Chart
        Loss, validation score and learning rate of the selected run, and a held-back patch as of its last validation.
    told, status : QLabel, Message
        How the selected run is doing, and what came of the last click.
    stop_button, resume_button, use_button, export_button, settings_button, log_button, delete_button : QPushButton
        For the selected run.
    """

    use_requested = Signal(object)
    settings_requested = Signal(object)
    refreshed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, folder: Path | None = None) -> None:
        super().__init__()
        # Here and not above: matplotlib takes a while to import, and a dock is often only named in a menu.
        from napari_drcr.widgets.train.run_charts import CURVES, PREVIEW, Chart

        self._viewer, self._folder = viewer, folder
        self._seen = Seen([], set(), None, None)
        self._chosen: Path | None = None
        self._met = False  # whether the chosen run was there already
        self._reader: RunReader | None = None
        self._shown: RunRecord | None = None
        self.told, self.status = QLabel(wordWrap=True), Message()
        self._say = self.status.say
        for label in (self.told, self.status):
            # What a stranger's run says is taken as it is.
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._looking = Background(self, self._say, self._say, task="Looking at the runs", remedy="look at their folder")
        self._working = Background(self, self._say, self._say, task="This")
        self._timer = QTimer(self, interval=INTERVAL)
        self.table = RunTable()
        self.curves, self.preview = Chart(CURVES), Chart(PREVIEW)
        self._empty = QLabel(NO_RUNS, wordWrap=True)
        self._lay_out()
        self._timer.timeout.connect(self._look)
        self.table.chosen.connect(self._choose)
        self._looking.finished.connect(self.refreshed)
        self._working.finished.connect(self.refresh)
        viewer.events.theme.connect(self._change_theme)
        self._change_theme()
        self._draw(None, "")
        self._show()

    def _lay_out(self) -> None:
        def button(text: str, tooltip: str, act: Callable[[RunState], object]) -> QPushButton:
            made = explained(QPushButton(text), tooltip)
            made.clicked.connect(lambda _checked: None if self.selected is None else act(self.selected))
            return made

        def stop(run: RunState) -> None:
            self._work(jobs.stop, run.folder)

        def resume(run: RunState) -> None:
            self._work(jobs.start, run.folder, saying="Starting")

        def open_settings(run: RunState) -> None:
            self.settings_requested.emit(run.folder / CONFIG)

        def open_log(run: RunState) -> None:
            self._work(read_log, run.folder, LINES, done=lambda text: LogDialog(self, run.name, text).show())

        self.stop_button = button("Stop", "Keep a checkpoint and end, within seconds.", stop)
        self.resume_button = button("Resume", "Go on from the last checkpoint.", resume)
        self.log_button = button(f"Log{ELLIPSIS}", "Read what happened when.", open_log)
        self.delete_button = button(f"Delete{ELLIPSIS}", "Remove the run with its model, after asking.", self._ask_to_delete)
        self.use_button = button("Use this model", "Reconstruct with the best model so far.", self._use)
        self.export_button = button(f"Export{ELLIPSIS}", "Copy the best model so far to a file.", self._ask_for_file)
        self.settings_button = button("Settings", "Open the settings of this run, for a new one.", open_settings)
        self._buttons = QWidget()
        grid = QGridLayout(self._buttons)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, made in enumerate((self.stop_button, self.resume_button, self.log_button, self.delete_button)):
            grid.addWidget(made, 0, column)
        grid.addWidget(self.use_button, 1, 0, 1, 2)
        grid.addWidget(self.export_button, 1, 2)
        grid.addWidget(self.settings_button, 1, 3)
        parts = (self._empty, self.table, self.told, self._buttons, self.status, self.curves, self.preview)
        stack(self, *parts, margin=None).addStretch()

    @property
    def selected(self) -> RunState | None:
        """The run that is shown in detail."""
        return next((run for run in self._seen.runs if run.folder == self._chosen), None)

    @property
    def working(self) -> bool:
        """Whether something that was asked for is being done."""
        return self._working.running

    def choose(self, folder: Path) -> None:
        """Select a run, by its folder, as soon as it is seen."""
        self._choose(folder)
        self._show()
        self.refresh()

    def refresh(self) -> None:
        """Look at the runs now; one that is being looked at is looked at again."""
        self._looking.run(look, self._folder, self._reader, done=self._take)

    def detach(self) -> None:
        """Leave no timer and no callback behind; runs go on."""
        self._timer.stop()
        for part in (self._looking, self._working, self.curves, self.preview):
            part.detach()
        self._viewer.events.theme.disconnect(self._change_theme)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Follow the runs."""
        super().showEvent(event)
        self.refresh()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Follow them no longer."""
        self._timer.stop()
        super().hideEvent(event)

    def _look(self) -> None:
        if not self._looking.running:
            self.refresh()

    def _take(self, seen: Seen) -> None:
        self._seen = seen
        if self.selected is not None:
            self._met = True
        elif self._met or self._chosen is None:  # deleted, or the first look
            self._chosen, self._reader, self._met = None, None, False
            if seen.runs:
                self._choose(seen.runs[0].folder)
        self._show()

    def _choose(self, folder: Path) -> None:
        if folder != self._chosen:
            self._chosen, self._reader, self._met = folder, RunReader(folder), False
            self._say("")
            self._show()
            self.refresh()

    def _show(self) -> None:
        run, runs = self.selected, self._seen.runs
        self._empty.setVisible(not runs)
        self.table.setVisible(bool(runs))
        self.table.show_runs(runs, self._seen.stopping, self._chosen)
        for widget in (self.told, self._buttons):
            widget.setVisible(run is not None)
        record = self._seen.record if run is not None and self._seen.reader is self._reader else None
        trouble = f" {record.trouble}" if record is not None and record.trouble else ""
        self.told.setText("" if run is None else self._sentence(run) + trouble)
        if record is not self._shown:
            self._shown = record
            self._draw(record, "" if run is None else run.status.metric)
        self._update_buttons()

    def _draw(self, record: RunRecord | None, metric: str) -> None:
        from napari_drcr.widgets.train.run_charts import draw_curves, draw_preview

        shown = record is not None and record.preview is not None
        self.preview.setVisible(shown)
        self.curves.setVisible(record is not None)
        if record is None:
            self.curves.clear()
            self.preview.clear()
        else:
            self.curves.show_sheet(partial(draw_curves, record=record, metric=metric))
            if record.preview is not None:
                self.preview.show_sheet(partial(draw_preview, preview=record.preview, metric=metric))

    def _update_buttons(self) -> None:
        run = self.selected
        if run is None:
            return
        idle, stopping = not self.working, run.folder in self._seen.stopping
        self.stop_button.setText(f"Stopping{ELLIPSIS}" if stopping else "Stop")
        self.stop_button.setEnabled(idle and run.alive and not stopping)
        self.resume_button.setText("Resume" if run.status.step else "Start")
        self.resume_button.setEnabled(idle and run.state in ("stopped", "crashed"))
        self.delete_button.setEnabled(idle and not run.alive)
        self.use_button.setEnabled(run.model is not None)
        self.export_button.setEnabled(idle and run.model is not None)
        self.log_button.setEnabled(idle and (run.log.is_file() or run.output.is_file()))

    def _sentence(self, run: RunState) -> str:
        status = run.status
        done = f"step {status.step:,} of {status.steps:,}"
        if run.folder in self._seen.stopping:
            return f"Stopping{ELLIPSIS} It keeps a checkpoint first ({done})."
        if run.state == "crashed":
            return f"Crashed at {done}: {run.cause or 'nobody knows why; the log may say more.'}"
        if run.state == "running":
            left = f", {duration(status.seconds_left)} left" if status.seconds_left is not None else ""
            return f"Running on {status.device or 'auto'}: {done}{left}."
        if run.state == "finished":
            return f"Finished after {status.step:,} steps."
        if run.state == "stopped":
            return f"Stopped at {done}." if status.step else "Ready to start."
        if run.state == "queued":
            return f"Waits until no other run uses {status.device or 'its device'}."
        return "Preparing its scenes."

    def _use(self, run: RunState) -> None:
        if run.model is not None:
            self.use_requested.emit(run.model)

    def _ask_to_delete(self, run: RunState) -> None:
        buttons = QMessageBox.StandardButton
        box = QMessageBox(QMessageBox.Icon.Question, "Delete run", "", buttons.Yes | buttons.Cancel, self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"Delete {run.name}" + (" and its model" if run.model else "") + "? It cannot be undone.")
        box.setInformativeText(str(run.folder))
        box.setDefaultButton(buttons.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.button(buttons.Yes).setText("Delete")
        # Not exec: runs go on being followed, and the dock may be closed meanwhile.
        box.button(buttons.Yes).clicked.connect(lambda _checked: self._work(jobs.delete, run.folder, saying="Deleting"))
        box.open()

    def _ask_for_file(self, run: RunState) -> None:
        if path := file_to_save(self, "Export model", f"{run.name}{SUFFIX}", f"Models (*{SUFFIX})", self._say):
            self.export(path)

    def export(self, path: Path) -> None:
        """Copy the best model of the selected run, with its card, to (or over) a ``.safetensors`` file, in a thread."""
        if (run := self.selected) is not None:
            done = partial(self._say, f"Written to {path.absolute()}.")
            self._work(export_model, run, path, saying=f"Writing {path.name}", done=done)

    def _work(
        self, function: Callable[..., Any], *args: Any, saying: str = "", done: Callable[[Any], object] | None = None
    ) -> None:
        if self.working:
            return
        self._say(f"{saying}{ELLIPSIS}" if saying else "")
        self._working.run(function, *args, done=done or (lambda _: self._say("")))
        self._update_buttons()

    def _change_theme(self, _event: object = None) -> None:
        for chart in (self.curves, self.preview):
            chart.set_theme(self._viewer.theme)


def export_model(run: RunState, path: Path) -> None:
    """Copy the best model of a run, if it is one, at once or not at all.

    Raises
    ------
    InputError
        If there is no model yet, it cannot be read, or the file, a ``.safetensors``, not be written.
    """
    from napari_drcr.models.store import load_model

    if path.suffix != SUFFIX:
        raise InputError(f"a model is written as {SUFFIX}, not {path.suffix or 'without a suffix'} ({path.name}).")
    if run.model is None:
        raise InputError(f"{run.name} has no model yet; there is one after the first validation.")
    with atomic_path(path) as temporary:
        shutil.copyfile(run.model, temporary)
        load_model(temporary)
