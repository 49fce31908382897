"""Name a run, foresee what it takes, and start it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from threading import Event
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_drcr.training import jobs
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs.folder import duration, new_run_folder
from napari_drcr.training.probe import Estimate, probe
from napari_drcr.widgets.train.config_form import ConfigForm
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import stack

NAME = "name"
ESTIMATE, CANCEL = "Estimate memory and time", "Cancel"


class Launch(QWidget):
    """Start the run that stands in the form, or say why it cannot be; `hindrance` says what is wrong with the scenes.

    Attributes
    ----------
    started : Signal(Path)
        A run was started in this folder.
    name : QLineEdit
        That of the form.
    estimate_button, start_button : QPushButton
        Measure a few steps, or end that; start.
    reason, status : QLabel, Message
        Why it cannot be started, and what came of the last action.
    """

    started = Signal(object)

    def __init__(self, form: ConfigForm, hindrance: Callable[[], str]) -> None:
        super().__init__()
        self._form, self._hindrance, self._told = form, hindrance, False
        self._enough = Event()
        self.status = Message()
        self._probing = Background(self, self.status.say, lambda _: None, task="The estimate")
        self._probing.finished.connect(self._end_estimate)
        self._starting = Background(self, self.status.say, self.status.say, task="The start")
        self._starting.finished.connect(self.refresh)
        self.name = explained(QLineEdit(), "Of the run, and of the model that comes of it.")
        self.estimate_button = QPushButton(ESTIMATE)
        self.start_button = QPushButton("Start")
        self.reason = QLabel(wordWrap=True)
        buttons = QHBoxLayout()
        named = QFormLayout()
        named.addRow("Name", self.name)
        for button in (self.estimate_button, self.start_button):
            buttons.addWidget(button, 1)
        stack(self, named, buttons, self.reason, self.status)
        self.name.textEdited.connect(form.rows[NAME].editor.set_value)
        self.estimate_button.clicked.connect(self._toggle_estimate)
        self.start_button.clicked.connect(self.start)
        form.changed.connect(self._follow_form)
        form.checked.connect(self.refresh)
        self._follow_form()

    @property
    def estimating(self) -> bool:
        """Whether steps are being measured."""
        return self._probing.running

    @property
    def starting(self) -> bool:
        """Whether a run is being prepared."""
        return self._starting.running

    def start(self) -> None:
        """Prepare a run folder and start its process, in a thread."""
        self.cancel_estimate()
        self.status.say("Starting\N{HORIZONTAL ELLIPSIS}")
        self._starting.run(_start, self._form.content, done=self._tell)
        self.refresh()

    def estimate(self) -> None:
        """Measure a few steps, in a process of its own."""
        self._enough = Event()
        # Nothing else tells when napari itself is closed, which then waits for its threads.
        self.destroyed.connect(self._enough.set)
        self.status.say("Training a few steps to measure them\N{HORIZONTAL ELLIPSIS}")
        self._probing.run(
            _measure, self._form.content, self._enough.is_set, done=lambda found: self.status.say(describe(found))
        )
        self.refresh()

    def cancel_estimate(self) -> None:
        """Measure no more."""
        if self.estimating:
            self._enough.set()
            self._probing.cancel()

    def stand_below(self, scenes: bool) -> None:
        """Say no more what the panel above says already, if that is the one of the scenes."""
        self._told = scenes
        self.refresh()

    def refresh(self) -> None:
        """Say whether the run can be started now."""
        reason = self._reason()
        busy = self.starting or self.estimating
        self.start_button.setDisabled(bool(reason) or self.starting)
        self.estimate_button.setDisabled(not self.estimating and (bool(reason) or busy))
        self.estimate_button.setText(CANCEL if self.estimating else ESTIMATE)
        tip = f"<p>{escape(reason)}</p>" if reason else ""
        self.start_button.setToolTip(tip or "In a process of its own, which goes on when napari is closed.")
        self.estimate_button.setToolTip(tip or "<p>Trains a few steps in a process of its own, which takes seconds.</p>")
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason) and not (self._told and not self._form.errors))

    def detach(self) -> None:
        """End the measuring; a run that was started goes on."""
        self._enough.set()
        self._probing.detach()
        self._starting.detach()

    def _reason(self) -> str:
        wrong = list(self._form.errors.items())
        if not wrong:
            return self._hindrance()
        field, sentence = wrong[0]
        more = f" {len(wrong) - 1} more to correct in the settings." if len(wrong) > 1 else ""
        return (sentence if not field or sentence.startswith(field) else f"{field}: {sentence}") + more

    def _follow_form(self) -> None:
        name = str(self._form.rows[NAME].editor.value)
        if self.name.text() != name:
            self.name.setText(name)
        if not self.estimating and not self.starting:
            # What was measured is of another run.
            self.status.say("")
        self.refresh()

    def _toggle_estimate(self) -> None:
        if self.estimating:
            self.cancel_estimate()
        else:
            self.estimate()

    def _end_estimate(self) -> None:
        if self._probing.cancelled and not self.starting:
            self.status.say("")
        self.refresh()

    def _tell(self, folder: Path) -> None:
        self.status.say(f"{folder.name} was started.")
        self.started.emit(folder)


def describe(found: Estimate) -> str:
    """Say in a sentence what a run is expected to take."""
    memory = "" if found.memory_bytes is None else f"about {_size(found.memory_bytes)} of memory, "
    return (
        f"On {found.device} in {found.precision}: {memory}{_time(found.seconds_per_step)} a step, {_time(found.seconds_per_epoch)} from one "
        f"validation to the next, {_time(found.seconds)} for all {found.steps:,} steps."
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 90:
        return f"{seconds:.2g} s"
    return duration(seconds)


def _start(content: dict[str, Any]) -> Path:
    """Run in a thread: preparing may load the model that the run starts from."""
    config = make_config(content, source="the form")
    folder = new_run_folder(config.name)
    jobs.prepare(config, folder)
    jobs.start(folder)
    return folder


def _measure(content: dict[str, Any], enough: Callable[[], bool]) -> Estimate:
    """Run in a thread, until it is told that it is enough."""
    return probe(make_config(content, source="the form"), cancelled=enough)
