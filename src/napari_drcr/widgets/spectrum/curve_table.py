"""The table of curves: where each was picked, and how far it is from the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QHeaderView

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.analysis.spectra import Comparison
from napari_drcr.widgets.spectrum.reader import Place
from napari_drcr.widgets.viewer.lists import ReadOnlyTable, swatch

if TYPE_CHECKING:
    from napari.layers import Image

ABOUT = (
    "Scores compare an estimate with the truth, in the values of the cubes, on the bands they share. "
    "Double-click flies to the pixel, Delete removes the pick."
)


class CurveRow(NamedTuple):
    """One curve: its place and cube and, beside a truth, how far it is from that."""

    place: Place
    layer: Image
    comparison: Comparison | None
    factor: float | None
    """What the estimate was multiplied with to match the truth; None if nothing was matched."""


class CurveTable(ReadOnlyTable):
    """Rows of curves.

    Attributes
    ----------
    chosen : Signal
        Another row was selected.
    visited, removed : Signal
        A row was double-clicked; Delete was pressed. Both carry the row's `Place`.
    """

    chosen = Signal()
    visited = Signal(object)
    removed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[CurveRow] = []
        self.setToolTip(ABOUT)
        self.itemSelectionChanged.connect(self.chosen)
        self.itemDoubleClicked.connect(lambda item: self.visited.emit(self._rows[item.row()].place))

    @property
    def selected(self) -> CurveRow | None:
        """The selected row, or else the only one."""
        row = self.currentRow() if self.selectedItems() else -1
        if row < 0 and len(self._rows) == 1:
            row = 0
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def show_rows(self, rows: Sequence[CurveRow], names: Mapping[Image, str], *, floor: float | None) -> None:
        """Replace all rows; `names` are those of the cubes, `floor` that of the MRAE. The selection stays with its curve."""
        kept = self.selected if self.selectedItems() else None
        matched = any(row.factor is not None for row in rows)
        headings = ["", "Cube", "y", "x", metric_name("mrae", floor), "RMSE", "SAM (°)", *(["Factor"] if matched else [])]
        self.blockSignals(True)
        self._rows = list(rows)
        if self.columnCount() != len(headings):
            self.setColumnCount(len(headings))
            self._fit()
        self.setHorizontalHeaderLabels(headings)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(_cells(row, names[row.layer], matched)):
                self.put(number, column, text, row.layer.name if column == 1 else "", right=column > 1)
            self.put(number, 0, row.place.name).setData(Qt.ItemDataRole.DecorationRole, swatch(row.place.colour))
        again = next(
            (n for n, row in enumerate(rows) if kept and (row.place.name, row.layer) == (kept.place.name, kept.layer)), -1
        )
        self.clearSelection()
        if again >= 0:
            self.selectRow(again)
        self.blockSignals(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Remove the selected pick with Delete."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected is not None:
            self.removed.emit(self.selected.place)
        else:
            super().keyPressEvent(event)

    def _fit(self) -> None:
        header = self.horizontalHeader()
        header.setMinimumSectionSize(24)
        for column in range(self.columnCount()):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        # Short names in full; long ones lose their end, and are whole in the tooltip.
        header.setMaximumSectionSize(110)


def _cells(row: CurveRow, cube: str, matched: bool) -> list[str]:
    place, comparison = row.place, row.comparison
    where = ["", ""] if place.corners is not None else [str(place.y), str(place.x)]
    scores = ["", "", ""]
    if comparison is not None:
        scores = [_number(comparison.mrae, ".3f"), _number(comparison.rmse, ".4f"), _number(comparison.sam, ".1f")]
    factor = "" if row.factor is None else f"{row.factor:.3g}"
    return [place.name, cube, *where, *scores, *([factor] if matched else [])]


def _number(value: float, form: str) -> str:
    """NaN is a pixel too dark to compare."""
    return "\N{EN DASH}" if math.isnan(value) else format(value, form)
