"""What lets docks fit small screens: areas that scroll, rows that break, forms that wrap."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)


class ScrollArea(QScrollArea):
    """Scrolls its `content` where there is less room than that needs; its minimum size in pixels is never above `least`.

    The wheel scrolls: choosers and numbers take it only while they have the keyboard's focus.
    """

    def __init__(self, least: QSize) -> None:
        super().__init__()
        self._least = least
        self._guard = _WheelGuard(self)
        self.content = _Content()
        self.setWidget(self.content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        # A click beside the controls leaves the keyboard to napari.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def sizeHint(self) -> QSize:  # noqa: N802
        """The size that suits the content."""
        return self.content.sizeHint()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The size that the content needs, if that is not too large."""
        return self.content.minimumSizeHint().boundedTo(self._least)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Guard what the wheel could change."""
        super().showEvent(event)
        for kind in (QAbstractSpinBox, QComboBox):
            for box in self.content.findChildren(kind):
                box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                box.installEventFilter(self._guard)


class _Content(QWidget):
    """Takes the room that there is; QScrollArea would give it the height that it likes, and scroll where less will do."""

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        layout = self.layout()
        return -1 if layout is None else layout.minimumHeightForWidth(width)


class _WheelGuard(QObject):
    """Passes the wheel on to the page."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():  # type: ignore[attr-defined]
            event.ignore()
            return True
        return super().eventFilter(watched, event)


LEAST_PAGE = QSize(240, 120)
"""Of the pages of tabs, in pixels."""


def scrolling(page: QWidget) -> ScrollArea:
    """Make a page of tabs scroll by itself, so that what is beside the tabs stays in view."""
    area = ScrollArea(LEAST_PAGE)
    stack(area.content, page)
    return area


def stack(parent: QWidget, *parts: QWidget | QLayout, margin: int | None = 0) -> QVBoxLayout:
    """Lay parts out below each other, with a margin in pixels around them; None for that of the style."""
    column = QVBoxLayout(parent)
    if margin is not None:
        column.setContentsMargins(margin, margin, margin, margin)
    for part in parts:
        column.addWidget(part) if isinstance(part, QWidget) else column.addLayout(part)
    return column


def beside(*parts: QWidget, stretched: int | None = None) -> QHBoxLayout:
    """Lay parts out side by side; room left goes to part `stretched`, else to all."""
    row = QHBoxLayout()
    for number, part in enumerate(parts):
        row.addWidget(part, int(number == stretched))
    return row


class BreakingRow(QWidget):
    """Controls side by side, in two lines where they do not fit into one; room left goes to part `stretched`, else to all."""

    def __init__(self, *parts: QWidget, stretched: int | None = None) -> None:
        super().__init__()
        self._parts, self._stretched = parts, stretched
        self._lines = QHBoxLayout(), QHBoxLayout()
        stack(self, *self._lines)
        self._half = len(parts) // 2
        self._arrange(broken=False)

    def sizeHint(self) -> QSize:  # noqa: N802
        """The size of one line."""
        return QSize(self._width([part.sizeHint().width() for part in self._parts]), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The width of two lines, the height of those that there are."""
        needed = self._needed()
        width = max(self._width(needed[: self._half]), self._width(needed[self._half :]))
        return QSize(width, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Break the line, or join both, as the width asks for."""
        super().resizeEvent(event)
        broken = event.size().width() < self._width(self._needed())
        if broken != bool(self._lines[1].count()):
            self._arrange(broken=broken)

    def _needed(self) -> list[int]:
        """The width that each part needs."""
        return [part.minimumWidth() or part.minimumSizeHint().width() for part in self._parts]

    def _width(self, widths: list[int]) -> int:
        """Of parts of these widths side by side."""
        return sum(widths) + self._lines[0].spacing() * (len(widths) - 1)

    def _arrange(self, *, broken: bool) -> None:
        for number, part in enumerate(self._parts):
            self._lines[broken and number >= self._half].addWidget(part, int(number == self._stretched))


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Lay fields out beside their labels, and below them where both do not fit side by side."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return form
