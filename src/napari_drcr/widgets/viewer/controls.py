"""What the dock widgets' controls share."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

from magicgui.widgets import ComboBox
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy


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
    """Two choosers, of a device and of a precision, that offer only "auto" until the hardware is known.

    Parameters
    ----------
    parent : QObject
        Whose choosers these are.

    Attributes
    ----------
    device, precision : magicgui.widgets.ComboBox
        The choosers.
    """

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
        # The first tick begins the search: importing torch would hold up whoever builds the rest of a dock.
        self._timer.start()

    def stop(self) -> None:
        """Wait for the hardware no longer."""
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

    With it Qt draws the whole window of napari anew, canvas included, which without a fast GPU takes the processor from the
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


def wrapped_label(text: str) -> QLabel:
    """Make a label that breaks long sentences into lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def make_shrinkable(chooser: ComboBox) -> None:
    """Let a chooser of long names be as narrow as its dock; the list that opens still shows them whole."""
    box = chooser.native
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
