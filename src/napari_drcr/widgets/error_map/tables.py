"""The tables of the dock Error map: scores of images and regions, and the worst pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QLabel, QSizePolicy, QWidget

from napari_drcr.analysis.metrics import Scores, WorstPixel, metric_name
from napari_drcr.widgets.viewer.fitting import stack
from napari_drcr.widgets.viewer.lists import ReadOnlyTable, swatch

MOST_ROWS = 8
"""Of the table of scores, before it scrolls."""


class ScoreRow(NamedTuple):
    """Scores of an estimate somewhere, or why there are none."""

    estimate: str
    colour: str
    floor: float | None
    """Of the MRAE."""
    where: str
    scores: Scores | None
    reason: str = ""


class _Table(ReadOnlyTable):
    """A table to read, as wide as its dock."""

    def __init__(self, columns: int) -> None:
        super().__init__(columns)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setHighlightSections(False)


class ScoreTable(_Table):
    """MRAE, RMSE and SAM of every mapped estimate, over the image and each region."""

    def __init__(self) -> None:
        super().__init__(4)
        header = self.horizontalHeader()
        for column in (1, 2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_scores([])

    def show_scores(self, rows: Sequence[ScoreRow]) -> None:
        """Show these scores; those with another floor than the last are left out, since they are about to be computed again."""
        floor = rows[-1].floor if rows else None
        rows = [row for row in rows if row.floor == floor]
        self.setHorizontalHeaderLabels(["Where", metric_name("mrae", floor), "RMSE", "SAM"])
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            tooltip = f"{row.where}, {row.estimate}"
            tooltip += f": {row.reason}" if row.scores is None else f": {row.scores.pixels} pixels"
            self.put(number, 0, row.where, tooltip).setData(Qt.ItemDataRole.DecorationRole, swatch(row.colour))
            values = (np.nan,) * 3 if row.scores is None else row.scores[:3]
            for column, (value, unit) in enumerate(zip(values, ("", "", "°"), strict=True), start=1):
                text = "\N{EN DASH}" if np.isnan(value) else f"{value:.4f}" if not unit else f"{value:.2f}{unit}"
                self.put(number, column, text, tooltip, right=True)
        shown = min(max(len(rows), 1), MOST_ROWS)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + shown * 22 + 4)


class WorstTable(_Table):
    """The worst pixels of a map; `chosen` carries row and column of the one clicked, or entered with the keyboard."""

    chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(3)
        self._pixels: Sequence[WorstPixel] = ()
        self.cellClicked.connect(self._choose)
        self.cellActivated.connect(self._choose)
        self.show_pixels((), "error")

    def show_pixels(self, pixels: Sequence[WorstPixel], error: str) -> None:
        """Show these pixels, the worst first, and what kind of error theirs is."""
        self._pixels = tuple(pixels)
        self.setHorizontalHeaderLabels(["y", "x", error])
        self.clearSelection()
        self.setRowCount(len(pixels))
        for number, pixel in enumerate(pixels):
            for column, text in enumerate((str(pixel.y), str(pixel.x), f"{pixel.error:.4g}")):
                self.put(
                    number, column, text, "Click to go there, and to draw the spectrum where Spectrum is open.", right=True
                )

    def _choose(self, row: int, _column: int) -> None:
        if row < len(self._pixels):
            self.chosen.emit(self._pixels[row].y, self._pixels[row].x)


class WorstPanel(QWidget):
    """The tab Worst pixels: what the table shows, and the table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = WorstTable()
        self._label = QLabel(wordWrap=True)
        stack(self, self._label, self.table, margin=None)

    def show_pixels(self, pixels: Sequence[WorstPixel], error: str, estimate: str) -> None:
        """Show the worst pixels of an estimate, whose name is empty as long as nothing is mapped."""
        self.table.show_pixels(pixels, error)
        self._label.setText(
            f"Where the {error} of {estimate} is largest, one pixel for each place, among those with an error in at least half of "
            "their bands. Click one to go there."
            if estimate
            else "Map the errors of a pair to see where they are largest."
        )
