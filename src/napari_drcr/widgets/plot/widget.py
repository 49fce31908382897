"""The plot that the docks share: spectra over their wavelengths, and their relative errors in a strip below."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QWidget

from napari_drcr.widgets.plot.curves import Content, Curve, LineStyle
from napari_drcr.widgets.plot.theme import theme_colours
from napari_drcr.widgets.viewer.fitting import stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SpectrumPlot(QWidget):
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
        # Here and not above: matplotlib takes a while to import, and a dock is often only named in a menu.
        from napari_drcr.widgets.plot.canvas import PlotCanvas
        from napari_drcr.widgets.plot.page import Page

        self._page = Page(theme_colours("dark"), strip=strip)
        self.axes, self.strip_axes = self._page.axes, self._page.strip_axes
        self._canvas = PlotCanvas(self._page)
        self._canvas.wavelength_clicked.connect(self.wavelength_clicked)
        self._canvas.painted.connect(self.painted)
        stack(self, self._canvas)

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
        self._canvas.announce(self._page.show(content))

    def preview(self, curves: Sequence[Curve], errors: Sequence[Curve] = ()) -> None:
        """Show curves over the others for a moment, in place of those previewed before; none takes the preview away.

        The upper axes grow for them where they must, and shrink again when the preview ends; the strip does not.
        """
        self._canvas.announce(self._page.preview(curves, errors))

    def set_wavelength(self, nm: float | None) -> None:
        """Move the line at the present wavelength to one in nm; None takes it away."""
        self._canvas.refresh(self._page.set_wavelength(nm))

    def set_common_range(self, nm: tuple[float, float] | None) -> None:
        """Say over which wavelengths (first and last in nm) cubes are compared, and shade the others in the strip."""
        self._canvas.refresh(self._page.set_common_range(nm))

    def set_theme(self, theme: str) -> None:
        """Take the colours of a theme of napari, by its id, as in ``viewer.theme``."""
        self._canvas.set_theme(theme)

    def on_paper(self) -> Figure:
        """A copy on white, as large as on the screen, without preview and wavelength line; it may be written in a thread."""
        return self._page.on_paper()

    def save(self, path: str | Path) -> None:
        """Write the plot as `on_paper` draws it, as ``.png`` (300 dots an inch), ``.svg`` or ``.pdf`` (text stays text).

        A file that is already there is replaced.

        Raises
        ------
        InputError
            If the suffix is another or the folder cannot be written to.
        """
        from napari_drcr.analysis.figures import save_figure

        save_figure(path, self.on_paper())

    def copy(self) -> None:
        """Copy the picture that `save` writes as PNG to the clipboard."""
        file = BytesIO()
        self.on_paper().savefig(file, format="png")
        QApplication.clipboard().setImage(QImage.fromData(file.getvalue()))
