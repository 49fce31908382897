"""Propose which scenes are held back."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QPushButton, QSpinBox, QWidget

from napari_drcr.training.dataset import propose_split
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.fitting import BreakingRow, stack

REPLACES = "Replaces the present one."
BY_FOLDER = "The folder itself says what is held back."


class SplitChoice(QWidget):
    """A button that asks for a split (`asked`), and what it depends on.

    Attributes
    ----------
    share : QDoubleSpinBox
        Of the scenes to hold back, in percent.
    seed : QSpinBox
        Of the drawing.
    """

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.button = QPushButton("Propose split")
        about = "Of the scenes to hold back; at least one."
        self.share = explained(QDoubleSpinBox(decimals=0, minimum=1, maximum=99, value=20, suffix=" %"), about)
        self.seed = explained(QSpinBox(maximum=9999), "Another one gives another choice.")
        stack(self, BreakingRow(self.button, self.share, QLabel("seed"), self.seed, QWidget(), stretched=4))
        self.button.clicked.connect(self.asked)

    def propose(self, names: Iterable[str]) -> list[str]:
        """Draw the scenes to hold back; errors as `napari_drcr.training.dataset.propose_split`."""
        return propose_split(names, self.share.value() / 100, self.seed.value())

    def allow(self, scenes: bool, fixed: bool) -> None:
        """Offer the button if there are scenes, or say that the folder holds them back by itself."""
        self.button.setEnabled(scenes and not fixed)
        self.button.setToolTip(BY_FOLDER if fixed else REPLACES)
