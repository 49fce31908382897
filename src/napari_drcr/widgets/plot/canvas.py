"""The canvases that figures are seen on; that of a page of spectra is drawn in layers, each only when it has changed."""

from __future__ import annotations

from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_drcr.widgets.plot.page import Layer, Page
from napari_drcr.widgets.plot.text import PIXELS_PER_INCH
from napari_drcr.widgets.plot.theme import theme_colours

SETTLED = 60
"""How long, in ms, the size must not have changed before the plot is drawn at the new one."""


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


class PlotCanvas(Canvas):
    """Shows a page, and tells where it is clicked."""

    wavelength_clicked = Signal(float)
    painted = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._agg = FigureCanvasAgg(page.figure)
        self._announce = False
        self._scrubbing = False
        self._settling = QTimer(self, singleShot=True, interval=SETTLED)
        self._settling.timeout.connect(self.update)

    def announce(self, layer: Layer) -> None:
        """Draw a layer, and those above it, anew, and emit `painted` then."""
        self._announce = True
        self.refresh(layer)

    def set_theme(self, theme: str) -> None:
        """Take the colours of a theme of napari for the page too."""
        super().set_theme(theme)
        self._page.set_colours(self._colours)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Stretch the present picture until the size has settled."""
        super().resizeEvent(event)
        self._page.figure.set_size_inches(self.width() / PIXELS_PER_INCH, self.height() / PIXELS_PER_INCH)
        if self._picture is not None:
            self._settling.start()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw at the dots of the screen, and tell when it is done."""
        dpi = PIXELS_PER_INCH * self.devicePixelRatioF()
        if self._page.figure.dpi != dpi:
            self._page.figure.dpi = dpi
            self._stale = Layer.BACKGROUND
        super().paintEvent(event)
        if self._announce and not self._stale:
            self._announce = False
            self.painted.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell the wavelength under the pointer, and those that it is dragged over."""
        x, y = self._dots(event.position())
        nm = self._page.wavelength_at(x, y) if event.button() == Qt.MouseButton.LeftButton else None
        self._scrubbing = nm is not None
        if nm is None:
            event.ignore()
        else:
            self.wavelength_clicked.emit(nm)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell the wavelength under the pointer while it is dragged."""
        if self._scrubbing:
            self.wavelength_clicked.emit(self._page.clamped_wavelength(self._dots(event.position())[0]))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End a drag."""
        self._scrubbing = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take the second of two clicks like any other."""
        self.mousePressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Name what is under the pointer where it rests."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            names = self._page.describe(*self._dots(event.pos()))
            # As rich text, names with a < in them would lose it.
            QToolTip.showText(event.globalPos(), "<br>".join(escape(name) for name in names if name), self)
            return True
        return bool(super().event(event))

    def _dots(self, place: QPoint | QPointF) -> tuple[float, float]:
        """A place of the widget in dots of the figure, from its lower left."""
        ratio = self.devicePixelRatioF()
        return place.x() * ratio, self._page.figure.bbox.height - place.y() * ratio

    def _paint(self, painter: QPainter, picture: QImage) -> None:
        if self._settling.isActive():
            painter.drawImage(self.rect(), picture)
        else:
            super()._paint(painter, picture)

    def _draw(self) -> None:
        if self._settling.isActive():
            return
        canvas, figure = self._agg, self._page.figure
        renderer = canvas.get_renderer()
        if self._stale >= Layer.BACKGROUND:
            self._page.lay_out()
            renderer.clear()
            figure.draw(renderer)
            self._background = canvas.copy_from_bbox(figure.bbox)
        if self._stale >= Layer.CURVES:
            canvas.restore_region(self._background)
            self._page.draw_curves(renderer)
            self._with_curves = canvas.copy_from_bbox(figure.bbox)
        canvas.restore_region(self._with_curves)
        self._page.draw_overlay(renderer)
        self._stale = Layer.NONE
        self._picture = picture_of(canvas, self.devicePixelRatioF())
