"""Controls that show a value and change it; a choice of names and files; files to save to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QSizePolicy, QWidget

from napari_drcr.errors import shown
from napari_drcr.training.jobs.folder import MODEL

NOTHING = "nothing"
Widget = TypeVar("Widget", bound=QWidget)


class Editor(QWidget):
    """A value that can be seen and changed; `edited` tells that it may have been, by a user's hand or by `set_value`.

    What cannot be a right value is kept as it was typed, for whoever checks it to say so.
    """

    edited = Signal()

    def __init__(self, *parts: QWidget) -> None:
        super().__init__()
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        for part in parts:
            self._layout.addWidget(part)

    @property
    def value(self) -> Any:
        """The value, as YAML has it."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value as YAML has it; a `ValueError` says why it cannot be shown here."""
        raise NotImplementedError

    def detach(self) -> None:
        """Wait for nothing any more."""


class FileChoice(Editor):
    """One of a few names (None for nothing), or a file.

    The text is that of the choice that asks for a file, in a dialog with a title; its kinds are as Qt's dialogs take them.
    """

    def __init__(self, names: Iterable[str | None], text: str, kinds: str, *, title: str = "", nothing: str = NOTHING) -> None:
        self.box = narrow(QComboBox())
        super().__init__(self.box)
        self._title, self._kinds = title or text, kinds
        self._values = list(names)
        self._chosen = 0
        self.box.addItems([nothing if name is None else name for name in self._values])
        self.box.addItem(f"{text}\N{HORIZONTAL ELLIPSIS}")
        self.box.currentIndexChanged.connect(self._take)
        self.box.activated.connect(self._ask)

    @property
    def value(self) -> str | None:
        """The name, or the path of the file; it can be set too, as by `set_value`."""
        return self._values[self._chosen]

    @value.setter
    def value(self, value: str | None) -> None:
        self.set_value(value)

    def set_value(self, value: Any) -> None:
        """Choose a name, or a file, which is offered from now on."""
        if value not in self._values:
            if not isinstance(value, str):
                raise ValueError(f"{shown(value)} is neither a name nor a file")
            self._values.append(value)
            row = self.box.count() - 1
            path = Path(value)
            # All runs call their model the same, so it goes by its folder's name.
            self.box.insertItem(row, path.parent.name if path.name == MODEL else path.name or value)
            self.box.setItemData(row, value, Qt.ItemDataRole.ToolTipRole)
        self.box.setCurrentIndex(self._values.index(value))

    def _take(self, row: int) -> None:
        if row < len(self._values) and row != self._chosen:
            self._chosen = row
            self.box.setToolTip(self.box.itemData(row, Qt.ItemDataRole.ToolTipRole) or "")
            self.edited.emit()

    def _ask(self, row: int) -> None:
        if row == len(self._values):
            self.box.setCurrentIndex(self._chosen)
            path, _ = QFileDialog.getOpenFileName(self, self._title, "", self._kinds)
            if path:
                self.set_value(path)


def file_to_save(parent: QWidget, title: str, name: str, kinds: str, refuse: Callable[[str], object]) -> Path | None:
    """Ask for a file to write; a name without a suffix gets that of its kind, unless `refuse` says that it is there already."""
    chosen, kind = QFileDialog.getSaveFileName(parent, title, name, kinds)
    path = Path(chosen)
    if chosen and not path.suffix:
        suffix = kind.partition("*")[2].partition(" ")[0].rstrip(")")
        path = path.with_name(path.name + (suffix or Path(name).suffix))
        if path.exists():
            # The dialog asked about the name without a suffix.
            refuse(f"{path.name} is there already; give its whole name to replace it.")
            return None
    return path if chosen else None


def narrow(box: QComboBox) -> QComboBox:
    """Let a chooser of long texts be as narrow as the dock; the list that opens still shows them whole."""
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def explained(widget: Widget, tooltip: str) -> Widget:
    """Give a control its tooltip."""
    widget.setToolTip(tooltip)
    return widget
