"""The plot that the docks share: spectra over their wavelengths, and their relative errors in a strip below.

matplotlib takes a while to import, and a dock is often only named in a menu: a dock imports this when it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QEvent, QPoint, QPointF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QHelpEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QApplication, QToolTip

from napari_drcr.widgets.plot.canvas import Canvas, picture_of
from napari_drcr.widgets.plot.curves import Content, Curve, LineStyle
from napari_drcr.widgets.plot.page import Layer, Page
from napari_drcr.widgets.plot.text import PIXELS_PER_INCH

SETTLED = 60
"""How long, in ms, the size must not have changed before the plot is drawn at the new one."""


class SpectrumPlot(Canvas):
    """A plot of spectra that knows nothing of a viewer.

    It is drawn in three layers: axes and labels, curves, and on top of them the preview and the line at the present wavelength.
    Only those from the lowest changed one upwards are drawn anew, when Qt next paints.

    Parameters
    ----------
    strip : bool
        Whether there are second axes below, for relative errors.

    Attributes
    ----------
    axes, strip_axes : matplotlib.axes.Axes
        The upper and, if there are any (else None), the lower ones.
    wavelength_clicked : Signal(float)
        The wavelength in nm where the left button went down in either axes, and those that it is dragged over.
    painted : Signal()
        What was shown or previewed last has been painted.
    """

    wavelength_clicked = Signal(float)
    painted = Signal()

    def __init__(self, *, strip: bool = True) -> None:
        super().__init__()
        self._page = Page(self._colours, strip=strip)
        self.axes, self.strip_axes = self._page.axes, self._page.strip_axes
        self._agg = FigureCanvasAgg(self._page.figure)
        self._announce = False
        self._scrubbing = False
        self._settling = QTimer(self, singleShot=True, interval=SETTLED)
        self._settling.timeout.connect(self.update)

    @property
    def wavelength(self) -> float | None:
        """Where the line is, in nm; None if there is none."""
        return self._page.wavelength

    @property
    def previewed(self) -> Sequence[Curve]:
        """The curves that are previewed in the upper axes."""
        return self._page.previewed

    def sizeHint(self) -> QSize:  # noqa: N802
        """The size at which ten curves are easily read."""
        return QSize(400, 420 if self.strip_axes is not None else 300)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The size below which little can be read."""
        return QSize(220, 200 if self.strip_axes is not None else 140)

    def show_curves(
        self,
        curves: Sequence[Curve],
        errors: Sequence[Curve] = (),
        *,
        value_label: str,
        error_label: str = "",
        key: Sequence[tuple[str, LineStyle]] = (),
        hint: str = "",
    ) -> None:
        """Show these curves in place of the others.

        The axes' limits are rounded, start at 0 where no value is negative, and change only if a curve does not fit or little
        of the room is used. Relative errors above the 95th percentile of all, at least 10 %, run out of the strip; arrows at
        its upper edge mark where.

        Parameters
        ----------
        curves : sequence of Curve
            For the upper axes, the later over the earlier, and those that are thick over all.
        errors : sequence of Curve
            For the strip: relative errors, not negative, 0.1 for 10 %.
        value_label : str
            Of the y axis.
        error_label : str
            What stands above the strip.
        key : sequence of (str, LineStyle)
            What the line styles mean, in a row above the plot. Names that are too long lose their middle, and are shown
            whole where the pointer rests on the row.
        hint : str
            A sentence for the middle of the plot as long as there are no curves in it.
        """
        content = Content(tuple(curves), tuple(errors), value_label, error_label, tuple(key), hint)
        self._show_soon(self._page.show(content))

    def preview(self, curves: Sequence[Curve], errors: Sequence[Curve] = ()) -> None:
        """Show curves over the others for a moment, in place of those previewed before; none takes the preview away.

        The upper axes grow for them where they must, and shrink again when the preview ends; the strip does not.
        """
        self._show_soon(self._page.preview(curves, errors))

    def set_wavelength(self, nm: float | None) -> None:
        """Move the line at the present wavelength to one in nm; None takes it away."""
        self.refresh(self._page.set_wavelength(nm))

    def set_common_range(self, nm: tuple[float, float] | None) -> None:
        """Say over which wavelengths (first and last in nm) cubes are compared, and shade the others in the strip."""
        self.refresh(self._page.set_common_range(nm))

    def set_theme(self, theme: str) -> None:
        """Take the colours of a theme of napari, by its id, as in ``viewer.theme``."""
        super().set_theme(theme)
        self._page.set_colours(self._colours)

    def on_paper(self) -> Figure:
        """A copy on white, as large as on the screen, without preview and wavelength line; it may be written in a thread."""
        return self._page.on_paper()

    def copy(self) -> None:
        """Copy what `on_paper` draws to the clipboard."""
        file = BytesIO()
        self.on_paper().savefig(file, format="png")
        QApplication.clipboard().setImage(QImage.fromData(file.getvalue()))

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

    def _show_soon(self, layer: Layer) -> None:
        """Draw a layer, and those above it, anew, and emit `painted` then."""
        self._announce = True
        self.refresh(layer)
