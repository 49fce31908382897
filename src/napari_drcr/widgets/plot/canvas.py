"""The canvas that a page of spectra is seen on: drawn in layers, each only when it has changed and somebody looks."""

from __future__ import annotations

from html import escape
from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from qtpy.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from qtpy.QtWidgets import QToolTip

from napari_drcr.widgets.plot.page import Layer, Page

SETTLED = 60
"""How long, in ms, the size must not have changed before the plot is drawn at the new one."""


class PlotCanvas(FigureCanvasQTAgg):
    """Shows a page, and tells where it is clicked.

    Drawing is left to the paint event, so nothing is drawn for a canvas that is hidden, without size, or being deleted, and
    several changes before the next one cost no more than the largest.
    """

    wavelength_clicked = Signal(float)
    painted = Signal()

    def __init__(self, page: Page) -> None:
        self._page = page
        self._stale = Layer.BACKGROUND
        self._announce = False
        self._scrubbing = False
        self._picture: QImage | None = None
        self._pixels = b""
        self._settling: QTimer | None = None
        super().__init__(page.figure)
        self.setMouseTracking(False)
        self._settling = QTimer(self, singleShot=True, interval=SETTLED)
        self._settling.timeout.connect(self.update)

    def refresh(self, layer: Layer, *, announce: bool = False) -> None:
        """Draw a layer, and those above it, anew at the next opportunity; and emit `painted` then, if asked to."""
        self._stale = max(self._stale, layer)
        self._announce |= announce
        if self._stale:
            self.update()

    def draw_idle(self) -> None:
        """What matplotlib calls when it thinks that everything has changed."""
        self.refresh(Layer.BACKGROUND)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Stretch the present picture until the size has settled."""
        super().resizeEvent(event)
        if self._picture is not None and self._settling is not None:
            self._settling.start()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Bring the picture up to date, unless the size is still changing, and show it."""
        settling = self._settling is not None and self._settling.isActive()
        if not settling and self._stale and min(*self._page.figure.bbox.size) >= 1:
            self._render()
        painter = QPainter(self)
        try:
            if self._picture is None:
                painter.fillRect(event.rect(), QColor(self._page.colours.face))
            elif settling:
                painter.drawImage(self.rect(), self._picture)
            else:
                painter.drawImage(QPoint(0, 0), self._picture)
        finally:
            painter.end()
        if self._announce and not self._stale:
            self._announce = False
            self.painted.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell the wavelength under the pointer, and those that it is dragged over."""
        x, y = self.mouseEventCoords(event)
        nm = self._page.wavelength_at(x, y) if event.button() == Qt.MouseButton.LeftButton else None
        self._scrubbing = nm is not None
        if nm is None:
            event.ignore()
        else:
            self.wavelength_clicked.emit(nm)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell the wavelength under the pointer while it is dragged."""
        if self._scrubbing:
            self.wavelength_clicked.emit(self._page.clamped_wavelength(self.mouseEventCoords(event)[0]))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End a drag."""
        self._scrubbing = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take the second of two clicks like any other."""
        self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the wheel to whatever scrolls around the plot."""
        event.ignore()

    def enterEvent(self, event: Any) -> None:  # noqa: N802
        """Do nothing: matplotlib would look for something to react."""

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Do nothing: matplotlib would reset a cursor that others have set."""

    def event(self, event: QEvent) -> bool:
        """Name what is under the pointer where it rests."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            names = self._page.describe(*self.mouseEventCoords(event.pos()))
            # As rich text, names with a < in them would lose it.
            QToolTip.showText(event.globalPos(), "<br>".join(escape(name) for name in names if name), self)
            return True
        return bool(super().event(event))

    def _render(self) -> None:
        figure = self._page.figure
        renderer = self.get_renderer()
        if self._stale >= Layer.BACKGROUND:
            self._page.lay_out()
            renderer.clear()
            figure.draw(renderer)
            self._background = self.copy_from_bbox(figure.bbox)
        if self._stale >= Layer.CURVES:
            self.restore_region(self._background)
            self._page.draw_curves(renderer)
            self._with_curves = self.copy_from_bbox(figure.bbox)
        self.restore_region(self._with_curves)
        self._page.draw_overlay(renderer)
        self._stale = Layer.NONE
        width, height = int(renderer.width), int(renderer.height)
        # QImage does not keep what it shows alive.
        self._pixels = bytes(renderer.buffer_rgba())
        self._picture = QImage(self._pixels, width, height, 4 * width, QImage.Format.Format_RGBX8888)
        self._picture.setDevicePixelRatio(self.device_pixel_ratio)
