"""Lists with check boxes, and tables to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QTableWidget, QTableWidgetItem

SWATCH = 10
"""Side of the square that shows a colour, in pixels of the screen."""
VALUE = Qt.ItemDataRole.UserRole


class Entry(NamedTuple):
    """One row of a `CheckList`; the value, hashable, tells it from others, and a colour puts a square before its text."""

    text: str
    value: Any
    checked: bool
    tooltip: str = ""
    enabled: bool = True
    colour: str | None = None


class CheckList(QListWidget):
    """A list whose entries can be checked, as high as its entries, 2 to `rows`, or else as the room that there is.

    What was checked or unchecked stays so as long as its value is listed, whatever later entries say, unless they are disabled.

    Attributes
    ----------
    toggled : Signal(object, bool)
        Value of the entry that was checked or unchecked, and which of them.
    """

    toggled = Signal(object, bool)

    def __init__(self, rows: int | None = None) -> None:
        super().__init__()
        self._rows = rows
        self._marks: dict[Any, bool] = {}
        self.itemChanged.connect(self._tell)

    @property
    def marked(self) -> list[Any]:
        """Values of the checked entries, in the order of the list."""
        return [item.data(VALUE) for item in self._items() if _is_checked(item)]

    @property
    def unmarked(self) -> list[Any]:
        """Values that somebody has unchecked."""
        return [value for value, checked in self._marks.items() if not checked]

    @property
    def texts(self) -> list[str]:
        """What the list shows."""
        return [item.text() for item in self._items()]

    def mark(self, value: Any, wanted: bool = True) -> None:
        """Check or uncheck the entry of a value."""
        for item in self._items():
            if item.data(VALUE) == value:
                item.setCheckState(_state(wanted))

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Show these entries in place of the others."""
        self.blockSignals(True)
        self.clear()
        self._marks = {entry.value: self._marks[entry.value] for entry in entries if entry.value in self._marks}
        for entry in entries:
            item = QListWidgetItem(entry.text)
            item.setData(VALUE, entry.value)
            item.setToolTip(entry.tooltip)
            item.setCheckState(_state(self._marks.get(entry.value, entry.checked) if entry.enabled else entry.checked))
            if entry.colour is not None:
                item.setData(Qt.ItemDataRole.DecorationRole, swatch(entry.colour))
            if not entry.enabled:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.addItem(item)
        self.blockSignals(False)
        if self._rows is not None:
            self.setFixedHeight(min(max(self.count(), 2), self._rows) * max(self.sizeHintForRow(0), 18) + 6)

    def _tell(self, item: QListWidgetItem) -> None:
        self._marks[item.data(VALUE)] = _is_checked(item)
        self.toggled.emit(item.data(VALUE), _is_checked(item))

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]


class ReadOnlyTable(QTableWidget):
    """A table to read, of which one row can be selected."""

    def __init__(self, columns: int = 0) -> None:
        super().__init__(0, columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)

    def put(self, row: int, column: int, text: str, tooltip: str = "", *, right: bool = False) -> QTableWidgetItem:
        """Show a text in a cell, by default on its left."""
        item: QTableWidgetItem | None = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        item.setText(text)
        item.setToolTip(tooltip)
        return item


def swatch(colour: str) -> QPixmap:
    """A square of a colour that Qt knows."""
    square = QPixmap(SWATCH, SWATCH)
    square.fill(QColor(colour))
    return square


def _state(checked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked


def _is_checked(item: QListWidgetItem) -> bool:
    return bool(item.checkState() == Qt.CheckState.Checked)
