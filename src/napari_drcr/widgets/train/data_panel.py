"""The scenes of a run: where they are, which are held back, what is wrong with them, and a batch of them to look at."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_drcr.errors import InputError
from napari_drcr.training.config import make_config
from napari_drcr.training.dataset import export_scenes, propose_split
from napari_drcr.training.jobs.folder import new_run_folder
from napari_drcr.training.survey import SceneEntry, Survey, iter_survey
from napari_drcr.widgets.train.batch_preview import BatchPreview
from napari_drcr.widgets.train.config_form import DELAY, ConfigForm
from napari_drcr.widgets.train.open_cubes import OpenCubes
from napari_drcr.widgets.train.rows import Marked
from napari_drcr.widgets.train.scene_table import SceneTable, can_be_held_back
from napari_drcr.widgets.train.split_choice import SplitChoice
from napari_drcr.widgets.train.survey_words import hindrance_of, summary_of
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained, narrow
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import BreakingRow, beside, stack

if TYPE_CHECKING:
    import xarray as xr

FOLDER, VALIDATION, RGB = "data.folder", "data.validation", "data.rgb"
NO_SCENES = "There are no scenes yet: choose a folder of cubes, or take cubes that are open in napari."
LOOKING = "The scenes are being looked through."
LATE = 500
"""Milliseconds until one is told how far the look at the scenes has got."""
RGB_SOURCES = {"simulated": "photographed by the camera of the settings", "files": "images of the folder"}


class DataPanel(QWidget):
    """Choose scenes and split them. All that is chosen stands in the form; the panel shows what it leads to.

    Attributes
    ----------
    changed : Signal
        `hindrance` may be another.
    folder : QLineEdit
        The folder of the form.
    open_cubes : OpenCubes
        Cubes to use in place of a folder.
    table : SceneTable
        The scenes.
    split_choice : SplitChoice
        Proposes which are held back.
    batch : BatchPreview
        Shows a batch of them.
    problems : Marked
        The hindrance, if any.
    summary, status : QLabel, Message
        What the folder is, and what came of the last action.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, form: ConfigForm) -> None:
        super().__init__()
        self._viewer, self._form = viewer, form
        self._asked: dict[str, Any] = {}
        self._found: Survey | None = None
        self._failure = ""
        self.status = Message()
        self._looking = Background(self, self._fail, lambda _: None, task="Looking through the scenes")
        self._looking.finished.connect(self._finish_looking)
        self._working = Background(self, self.status.say, self.status.say, task="Writing the cubes")
        self._working.finished.connect(self._show_work)
        self._timer = QTimer(self, interval=DELAY, singleShot=True)
        self._timer.timeout.connect(self.look)
        self._late = QTimer(self, interval=LATE, singleShot=True)
        self._late.timeout.connect(lambda: self._show_progress(True))
        self._make_parts()
        self._lay_out()
        self._connect()
        self._follow_form()
        self._show_folder()

    def _make_parts(self) -> None:
        self.folder = QLineEdit(readOnly=True, placeholderText="none chosen")
        about = (
            "<p>A folder of cubes side by side, with images of the same names if there are any, or the data of ARAD_1K, as for "
            "DRCR Net or MST++, or of CAVE.</p>"
        )
        self.choose_button = explained(QPushButton("Choose folder\N{HORIZONTAL ELLIPSIS}"), about)
        self.open_cubes = OpenCubes(self._viewer)
        about = "<p>Where the RGB of a scene comes from: anew for each patch, with noise and JPEG, or files.</p>"
        self.rgb = explained(narrow(QComboBox()), about)
        for value, text in RGB_SOURCES.items():
            self.rgb.addItem(text, value)
        self.summary = QLabel(wordWrap=True)
        self.problems = Marked()
        self.table = SceneTable()
        about = "<p>Finds NaN and values of 0 or less too; takes as long as reading the whole folder.</p>"
        self.values = explained(QCheckBox("read all values"), about)
        self.again_button = explained(QPushButton("Look again"), "After files were changed.")
        self.progress = QProgressBar()
        self.cancel_button = QPushButton("Cancel")
        self.split_choice = SplitChoice()
        self.batch = BatchPreview(self._viewer)

    def _lay_out(self) -> None:
        column = stack(
            self,
            beside(self.folder, self.choose_button, stretched=0),
            self.open_cubes,
            beside(QLabel("RGB"), self.rgb, stretched=1),
            self.summary,
            self.problems,
            self.table,
            beside(self.progress, self.cancel_button, stretched=0),
            self.split_choice,
            BreakingRow(self.again_button, self.values, QWidget(), self.batch.button, stretched=2),
            self.status,
            margin=6,
        )
        column.setStretchFactor(self.table, 1)
        for part in (self.progress, self.cancel_button):
            part.hide()

    def _connect(self) -> None:
        self._form.changed.connect(self._follow_form)
        self.choose_button.clicked.connect(self._ask)
        self.open_cubes.wanted.connect(self._export)
        self.rgb.activated.connect(lambda _: self._set(RGB, self.rgb.currentData()))
        self.table.held_back.connect(self._hold_back)
        self.table.itemSelectionChanged.connect(lambda: self.status.say(self.table.remarks))
        self.values.clicked.connect(self.look)
        self.again_button.clicked.connect(self.look)
        self.cancel_button.clicked.connect(self._looking.cancel)
        self.split_choice.asked.connect(self.split)
        self.batch.button.clicked.connect(self.preview)
        self.batch.said.connect(self.status.say)

    @property
    def looking(self) -> bool:
        """Whether the scenes are being looked through, or soon will be."""
        return self._timer.isActive() or self._looking.running

    @property
    def working(self) -> bool:
        """Whether cubes are being written."""
        return self._working.running

    @property
    def survey(self) -> Survey | None:
        """What the folder holds; None before it was looked through."""
        return self._found

    @property
    def hindrance(self) -> str:
        """A sentence on why these scenes cannot be trained with, or nothing."""
        if not self._form.rows[FOLDER].editor.value:
            return NO_SCENES
        if self.looking:
            return LOOKING
        if self._failure or self._found is None:
            return self._failure
        return hindrance_of(self._found)

    def choose(self, folder: str | Path, validation: Iterable[str] = ()) -> None:
        """Take the scenes of a folder, and hold these back where the folder itself does not say."""
        self._set(VALIDATION, list(validation))
        self._set(FOLDER, str(folder))

    def look(self) -> None:
        """Look through the folder of the form, in a thread."""
        self._timer.stop()
        self._failure = ""
        if self._form.rows[FOLDER].editor.value:
            self.progress.setRange(0, 0)
            self._late.start()
            self._looking.run(_look, self._material(), self.values.isChecked(), done=self._take, progress=self._show_scene)
        else:
            self._looking.cancel()
        self._show_folder()

    def split(self) -> None:
        """Hold back a share of the scenes, drawn by the seed."""
        names = [scene.name for scene in self._scenes() if can_be_held_back(scene.name)]
        try:
            self._set(VALIDATION, self.split_choice.propose(names))
        except InputError as error:
            self.status.say(str(error))

    def preview(self) -> None:
        """Make a batch, in a thread, and show it in place of the last one; each time another."""
        self.batch.make(self._form.content)

    def detach(self) -> None:
        """Look at nothing any more, and hold no layer."""
        self._timer.stop()
        self._late.stop()
        for part in (self._looking, self._working, self.batch, self.open_cubes):
            part.detach()

    def _scenes(self) -> list[SceneEntry]:
        return [] if self._found is None else [scene for scene in self._found.scenes if not scene.left_out]

    def _set(self, path: str, value: Any) -> None:
        self._form.rows[path].editor.set_value(value)

    def _validation(self) -> list[str]:
        return self._form.rows[VALIDATION].editor.value

    def _follow_form(self) -> None:
        material = self._material()
        if material == self._asked:
            return
        data = material["data"]
        if data.get("folder") != self._asked.get("data", {}).get("folder"):
            self.table.clear_scenes()
            self._found = None
            self.batch.begin_again()
            self.status.say("")
        self._asked = material
        self.folder.setText(data.get("folder") or "")
        self.folder.setToolTip(self.folder.text())
        self.rgb.setCurrentIndex(self.rgb.findData(self._form.rows[RGB].editor.value))
        self._timer.start()
        self.changed.emit()

    def _material(self) -> dict[str, Any]:
        """Sections of the form that say what is learned from."""
        content = self._form.content
        return {name: content.get(name, {}) for name in ("data", "reflectances")}

    def _show_scene(self, done: int, total: int, entry: SceneEntry) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.table.show_scene(entry, self._validation())

    def _take(self, found: Survey) -> None:
        self._found = found
        self.table.keep_scenes(found.scenes)

    def _fail(self, sentence: str) -> None:
        self._found, self._failure = None, sentence
        self.table.clear_scenes()

    def _finish_looking(self) -> None:
        self._late.stop()
        self._show_progress(False)
        if self._looking.cancelled:
            self._found = None
        self._show_folder()

    def _show_progress(self, shown: bool) -> None:
        self.progress.setVisible(shown)
        self.cancel_button.setVisible(shown)

    def _show_folder(self) -> None:
        there = bool(self._form.rows[FOLDER].editor.value)
        self.summary.setText(self._summary() if there else NO_SCENES)
        if not self.looking:
            self.problems.mark(self.hindrance if there else "")
        fixed = bool(self._scenes()) and any(each.held_back and each.name not in self._validation() for each in self._scenes())
        self.split_choice.allow(bool(self._scenes()), fixed)
        self.again_button.setEnabled(there)
        self._show_work()
        self.changed.emit()

    def _summary(self) -> str:
        if self._found is None:
            return "Cancelled: not all scenes were looked at." if self._looking.cancelled and not self.looking else ""
        return summary_of(self._found)

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of scenes", self.folder.text())
        if path:
            self.choose(path)

    def _hold_back(self, name: str, held_back: bool) -> None:
        names = set(self._validation())
        if self._found is not None:
            names &= {scene.name for scene in self._scenes()}
        self._set(VALIDATION, sorted(names | {name} if held_back else names - {name}))

    def _export(self) -> None:
        try:
            cubes = self.open_cubes.cubes
        except InputError as error:
            self.status.say(str(error))
            return
        self.status.say(f"Writing {len(cubes)} cube{'s' if len(cubes) > 1 else ''}\N{HORIZONTAL ELLIPSIS}")
        self._working.run(_export, cubes, done=self._take_exported)
        self._show_work()

    def _take_exported(self, written: tuple[Path, list[str]]) -> None:
        folder, names = written
        fit_to_name = [name for name in names if can_be_held_back(name)]
        self.choose(folder, propose_split(fit_to_name) if len(fit_to_name) > 1 else [])
        self.open_cubes.open(False)
        self.status.say("The cubes were written to this folder, which the run needs; delete it when you no longer do.")

    def _show_work(self) -> None:
        self.batch.allow(bool(self._form.rows[FOLDER].editor.value))
        self.open_cubes.content.setEnabled(not self.working)


def _look(material: dict[str, Any], values: bool) -> Generator[tuple[int, int, SceneEntry], None, Survey]:
    """Run in a thread: checking the names of lights takes its time."""
    config = make_config(material, source="the form")
    return (yield from iter_survey(config.data, config.reflectances, values=values))


def _export(cubes: dict[str, xr.DataArray]) -> tuple[Path, list[str]]:
    """Run in a thread: write cubes beside the runs."""
    folder = new_run_folder("scenes")
    return folder, export_scenes(cubes, folder)
