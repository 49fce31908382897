"""What the dock widgets' controls share."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from magicgui.widgets import ComboBox
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFormLayout, QLabel, QProgressBar

from napari_drcr.widgets.viewer.choosers import narrow

if TYPE_CHECKING:
    from napari.layers import Layer


class Chooser(ComboBox):
    """A combo box that also tells when None is chosen, which magicgui takes for no value."""

    null_value = object()


class Hardware(NamedTuple):
    """A device: its name, and the precisions that pay on it, the best first."""

    name: str
    precisions: list[str]


@cache
def find_hardware() -> Future[dict[str, Hardware]]:
    """Find out which devices there are, by torch's names, the best first; once, in a thread because that imports torch."""
    return ThreadPoolExecutor(max_workers=1).submit(_hardware)


def _hardware() -> dict[str, Hardware]:
    from napari_drcr.system.devices import devices, precisions

    return {device: Hardware(name, precisions(device)) for device, name in devices().items()}


class HardwareChoice(QObject):
    """Choosers of a `device` and of a `precision`, which offer only "auto" until the hardware is known."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.device = ComboBox(
            choices=[("auto", "auto")], label="Device", tooltip="Where the network runs. auto takes the best there is."
        )
        self.precision = ComboBox(
            choices=["auto"],
            label="Precision",
            tooltip="Number format of the network. auto takes the fastest the device has. bf16 and fp16 round more than fp32: what is "
            "picked in the dock Spectrum can be computed again in fp32 with Refine.",
        )
        self.device.changed.connect(self._offer_precisions)
        self._hardware: dict[str, Hardware] = {}
        self._timer = QTimer(self, interval=100)
        self._timer.timeout.connect(self._offer_devices)
        # The first tick begins the search: importing torch would delay the rest of the dock.
        self._timer.start()

    def stop(self) -> None:
        """Stop waiting for the hardware."""
        self._timer.stop()

    def _offer_devices(self) -> None:
        if find_hardware().done():
            self.stop()
            self._hardware = find_hardware().result()
            names = [(f"{device}: {found.name}", device) for device, found in self._hardware.items()]
            offer(self.device, [(f"auto ({names[0][0]})", "auto"), *names])
            self._offer_precisions(self.device.value)

    def _offer_precisions(self, device: str) -> None:
        found = self._hardware.get(next(iter(self._hardware), "") if device == "auto" else device)
        if found is not None:
            names = [(precision, precision) for precision in found.precisions]
            offer(self.precision, [(f"auto ({found.precisions[0]})", "auto"), *names])


class StepsBar(QProgressBar):
    """A progress bar for many small steps, painted ten times a second at most and never on the move by itself.

    With each step Qt draws the whole window of napari, canvas included, which without a fast GPU takes the processor from the
    work.
    """

    INTERVAL = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._painted = 0.0

    def start(self) -> None:
        """Show that something has begun."""
        self._painted = 0.0
        self.setRange(0, 1)
        self.setValue(0)
        self.show()

    def take(self, done: int, total: int) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if now - self._painted >= self.INTERVAL or done == total:
            self._painted = now
            self.setRange(0, total)
            self.setValue(done)


def offer(chooser: ComboBox, choices: list[tuple[str, Any]]) -> None:
    """Replace the choices of a chooser by texts and values in this order; what was chosen stays if it is still among them."""
    chosen = chooser.value
    with chooser.changed.blocked():
        # magicgui leaves entries that it finds again where they were, and puts the others behind them.
        chooser.choices = []
        chooser.choices = choices
        if chosen in chooser.choices:
            chooser.value = chosen
    if chooser.value != chosen:
        chooser.changed.emit(chooser.value)


class Message(QLabel):
    """Sentences to the user, broken into lines; hidden while there are none."""

    def __init__(self) -> None:
        super().__init__(wordWrap=True)
        self.hide()
        self._missing = ""

    def say(self, sentence: str, _result: object = None) -> None:
        """Show a sentence in place of the one before; none if it is empty."""
        self.setText(sentence)
        self.setVisible(bool(sentence))

    def say_missing(self, sentence: str) -> None:
        """Show what is missing; once nothing is, withdraw that sentence, but no other."""
        if sentence or self.text() == self._missing:
            self.say(sentence)
        self._missing = sentence

    def fail(self, sentence: str) -> None:
        """Show why something failed, and notify napari of it."""
        self.say(sentence)
        show_error(sentence)


def offer_layers(chooser: ComboBox, layers: Iterable[Layer], nothing: str) -> None:
    """Offer layers by their names, behind the choice of None, which is called `nothing`."""
    offer(chooser, [(nothing, None), *((layer.name, layer) for layer in layers)])


def add_rows(form: QFormLayout, *choosers: ComboBox) -> QFormLayout:
    """Add choosers with their labels to a form, which is returned, as narrow as their dock may be."""
    for chooser in choosers:
        narrow(chooser.native)
        form.addRow(chooser.label, chooser.native)
    return form
