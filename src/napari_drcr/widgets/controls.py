"""What the dock widgets' controls share."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QLabel


class Hardware(NamedTuple):
    """A device: its name, and the precisions that pay on it, the best first."""

    name: str
    precisions: list[str]


@cache
def find_hardware() -> Future[dict[str, Hardware]]:
    """Find out which devices there are, once, in a thread because that imports torch.

    Returns
    -------
    concurrent.futures.Future
        Of a dictionary of torch's name of each device to its `Hardware`, the best first.
    """
    return ThreadPoolExecutor(max_workers=1).submit(_hardware)


def _hardware() -> dict[str, Hardware]:
    from napari_drcr.devices import devices, precisions

    return {device: Hardware(name, precisions(device)) for device, name in devices().items()}


def offer(chooser: ComboBox, choices: list[tuple[str, Any]]) -> None:
    """Replace the choices of a chooser, in this order, and stay with what was chosen if it is still among them.

    Parameters
    ----------
    chooser : magicgui.widgets.ComboBox
        The chooser.
    choices : list of (str, object)
        Texts and values.
    """
    chosen = chooser.value
    # magicgui leaves entries that it finds again where they were, and puts the others behind them.
    chooser.choices = []
    chooser.choices = choices
    if chosen in chooser.choices:
        chooser.value = chosen


def wrapped_label(text: str) -> QLabel:
    """Make a label that breaks long sentences into lines.

    Parameters
    ----------
    text : str
        What it says.

    Returns
    -------
    QLabel
    """
    label = QLabel(text)
    label.setWordWrap(True)
    return label
