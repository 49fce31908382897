"""Widgets that show and change a value of the configuration, as YAML has it: one for each kind of value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QDoubleSpinBox, QFileDialog, QLabel, QLineEdit, QPushButton

from napari_drcr.errors import shown
from napari_drcr.widgets.train.fields import Kind
from napari_drcr.widgets.viewer.choosers import Editor, narrow

NOT_SET = "not set"
DIGITS = 30
"""Behind the point, enough for Qt not to round any share."""
LARGEST_WHOLE = 2.0**53
"""Up to which a double holds every whole number."""


class TextEditor(Editor):
    """Text on one line."""

    NOTHING = NOT_SET

    def __init__(self, kind: Kind) -> None:
        self.line = QLineEdit(placeholderText=self.NOTHING if kind.optional else "", clearButtonEnabled=kind.optional)
        super().__init__(self.line)
        self._optional = kind.optional
        self.line.textChanged.connect(self.edited)

    @property
    def value(self) -> Any:
        """The text; None where it is empty and may be missing."""
        return None if self._optional and not self.line.text().strip() else self.line.text()

    def set_value(self, value: Any) -> None:
        """Show text, or a number as text."""
        if isinstance(value, (dict, list)):
            raise ValueError(f"{shown(value)} is no single value")
        self.line.setText("" if value is None else str(value))
        self.line.setCursorPosition(0)


class NumberEditor(TextEditor):
    """A number of any magnitude, such as 1e-4, or a whole one that may be missing."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self._type = kind.type

    @property
    def value(self) -> Any:
        """A number, or what was typed in its place."""
        text = super().value
        with suppress(TypeError, ValueError):
            return self._type(text)
        return text

    def set_value(self, value: Any) -> None:
        """Show it as short as it can be without another value."""
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e6
        super().set_value(int(value) if whole else value)


class BoxEditor(Editor):
    """A number between two limits that both are allowed, in a box."""

    def __init__(self, box: QDoubleSpinBox) -> None:
        self.box = box
        super().__init__(box)
        box.setMinimumWidth(60)
        box.valueChanged.connect(self.edited)

    @property
    def value(self) -> float:
        """The number."""
        return self.box.value()

    def set_value(self, value: Any) -> None:
        """Show a number within the limits, or text that YAML did not take for one, such as 3e5."""
        number, box = math.nan, self.box
        with suppress(TypeError, ValueError):
            number = float(value)
        if not box.minimum() <= number <= box.maximum() or (not box.decimals() and not number.is_integer()):
            kind = "number" if box.decimals() else "whole number"
            raise ValueError(f"{shown(value)} is no {kind} that is allowed here")
        box.setValue(number)


class WholeEditor(BoxEditor):
    """A whole number within limits."""

    def __init__(self, kind: Kind) -> None:
        low = -LARGEST_WHOLE if kind.minimum is None else kind.minimum
        high = LARGEST_WHOLE if kind.maximum is None else kind.maximum
        # Qt's box for whole numbers ends at 31 bits, where seeds go on.
        super().__init__(QDoubleSpinBox(decimals=0, minimum=low, maximum=high, singleStep=kind.step or 1))
        if kind.step is None and high - low > 1000:
            self.box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)

    @property
    def value(self) -> int:
        """The number."""
        return int(self.box.value())


class ShareEditor(BoxEditor):
    """A number between two limits that both are allowed."""

    def __init__(self, kind: Kind) -> None:
        assert kind.minimum is not None
        assert kind.maximum is not None
        step = (kind.maximum - kind.minimum) / 20
        super().__init__(_ShortSpinBox(decimals=DIGITS, minimum=kind.minimum, maximum=kind.maximum, singleStep=step))
        # That of the system may have a decimal comma.
        self.box.setLocale(QLocale.c())


class _ShortSpinBox(QDoubleSpinBox):
    """Shows no more digits than there are."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        # Steps leave rounding behind, as 0.1 + 0.05 does.
        short = f"{value:.6g}"
        return short if math.isclose(value, float(short), rel_tol=1e-12) else repr(value)


class SwitchEditor(Editor):
    """Yes or no."""

    def __init__(self) -> None:
        self.box = QCheckBox()
        super().__init__(self.box)
        self._layout.addStretch()
        self.box.toggled.connect(self.edited)

    @property
    def value(self) -> bool:
        """Whether it is on."""
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        """Switch it on or off."""
        if value not in (True, False):
            raise ValueError(f"{shown(value)} is neither true nor false")
        self.box.setChecked(bool(value))


class ChoiceEditor(Editor):
    """One of a few values, by their texts."""

    def __init__(self, texts: Mapping[str | None, str]) -> None:
        self.box = narrow(QComboBox())
        super().__init__(self.box)
        self._values = list(texts)
        self.box.addItems(list(texts.values()))
        self.box.currentIndexChanged.connect(self.edited)

    @property
    def value(self) -> str | None:
        """What is chosen."""
        return self._values[self.box.currentIndex()]

    def set_value(self, value: Any) -> None:
        """Choose."""
        if value not in self._values:
            raise ValueError(f"{shown(value)} is none of {', '.join(map(str, self._values))}")
        self.box.setCurrentIndex(self._values.index(value))


class TupleEditor(Editor):
    """A few values side by side, such as both ends of a range; none of them where all are empty."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._optional = kind.optional
        self.editors = [editor_of(item._replace(optional=kind.optional)) for item in kind.items]
        for editor in self.editors:
            if editor is not self.editors[0]:
                self._layout.addWidget(QLabel("\N{EN DASH}"))
            self._layout.addWidget(editor, 1)
            editor.edited.connect(self.edited)

    @property
    def value(self) -> list[Any] | None:
        """All values."""
        values = [editor.value for editor in self.editors]
        return None if self._optional and all(value is None for value in values) else values

    def set_value(self, value: Any) -> None:
        """Show as many values as there are places."""
        values = [None] * len(self.editors) if value is None and self._optional else value
        if not isinstance(values, (list, tuple)) or len(values) != len(self.editors):
            raise ValueError(f"{shown(value)} is not {len(self.editors)} values")
        for editor, each in zip(self.editors, values, strict=True):
            editor.set_value(each)


class NamesEditor(TextEditor):
    """Any number of names between commas."""

    NOTHING = "none"
    MARK = ","

    def __init__(self) -> None:
        super().__init__(Kind(tuple, optional=True))

    @property
    def value(self) -> list[str]:
        """The names."""
        return [name for name in (part.strip() for part in self.line.text().split(self.MARK)) if name]

    def set_value(self, value: Any) -> None:
        """Show names that do not hold the mark between two."""
        if not isinstance(value, (list, tuple)) or any(
            not isinstance(name, str) or self.MARK in name or name != name.strip() or not name for name in value
        ):
            raise ValueError(f"{shown(value)} is no list of names")
        super().set_value(f"{self.MARK} ".join(value))


class FilesEditor(NamesEditor):
    """Any number of files between semicolons, typed or added in a dialog of a title for files of some kinds."""

    MARK = ";"

    def __init__(self, title: str, kinds: str) -> None:
        super().__init__()
        self._title, self._kinds = title, kinds
        self.button = QPushButton("Add files\N{HORIZONTAL ELLIPSIS}")
        self.button.clicked.connect(self._choose)
        self._layout.addWidget(self.button)

    def _choose(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, self._title, "", self._kinds)
        self.set_value(list(dict.fromkeys([*self.value, *paths])))


class FolderEditor(TextEditor):
    """A folder, typed or chosen in a dialog."""

    NOTHING = "none chosen"

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.button = QPushButton("Choose folder\N{HORIZONTAL ELLIPSIS}")
        self.button.clicked.connect(self._choose)
        self._layout.addWidget(self.button)

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of scenes", self.line.text())
        if path:
            self.line.setText(path)


def editor_of(kind: Kind) -> Editor:
    """Make the editor for values of a kind."""
    if kind.choices:
        return ChoiceEditor(({None: NOT_SET} if kind.optional else {}) | {choice: choice for choice in kind.choices})
    if kind.type is tuple:
        return NamesEditor() if len(kind.items) == 1 else TupleEditor(kind)
    if kind.type is bool:
        return SwitchEditor()
    if kind.type is int and not kind.optional:
        return WholeEditor(kind)
    if kind.type in (int, float):
        both = kind.minimum is not None and kind.maximum is not None
        return ShareEditor(kind) if both and not kind.optional else NumberEditor(kind)
    return TextEditor(kind) if kind.type is str else FolderEditor(kind)
