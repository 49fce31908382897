"""The canvas that figures are seen on."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_drcr.widgets.plot.page import Layer
from napari_drcr.widgets.plot.theme import theme_colours


class Canvas(QWidget):
    """Shows a picture of a figure in the colours of napari.

    Drawing is left to the paint event, so nothing is drawn for a canvas that is hidden, without size, or being deleted, and
    several changes before the next one cost no more than the largest.
    """

    def __init__(self) -> None:
        super().__init__()
        self._colours = theme_colours("dark")
        self._stale = Layer.BACKGROUND
        self._picture: QImage | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def refresh(self, layer: Layer = Layer.BACKGROUND) -> None:
        """Draw a layer, and those above it, anew at the next opportunity."""
        self._stale = max(self._stale, layer)
        if self._stale:
            self.update()

    def set_theme(self, theme: str) -> None:
        """Take the colours of a theme of napari, by its id, as in ``viewer.theme``."""
        self._colours = theme_colours(theme)
        self.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Draw it anew in the new size."""
        super().resizeEvent(event)
        self.refresh()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Bring the picture up to date and show it."""
        if self._stale and min(self.width(), self.height()) > 0:
            self._draw()
        painter = QPainter(self)
        try:
            painter.fillRect(event.rect(), QColor(self._colours.face))
            if self._picture is not None:
                self._paint(painter, self._picture)
        finally:
            painter.end()

    def _draw(self) -> None:
        """Make the picture that is missing, now or in a thread."""
        raise NotImplementedError

    def _paint(self, painter: QPainter, picture: QImage) -> None:
        painter.drawImage(QPoint(0, 0), picture)


def picture_of(canvas: FigureCanvasAgg, ratio: float) -> QImage:
    """What was drawn, for a screen with so many dots a pixel."""
    width, height = canvas.get_width_height(physical=True)
    # A copy, because QImage does not keep what it shows alive.
    picture = QImage(canvas.buffer_rgba(), width, height, 4 * width, QImage.Format.Format_RGBX8888).copy()
    picture.setDevicePixelRatio(ratio)
    return picture
