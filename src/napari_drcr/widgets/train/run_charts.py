"""The pictures of a run: its curves, and a held-back patch as its model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QPaintEvent, QWheelEvent
from qtpy.QtWidgets import QSizePolicy

from napari_drcr.colorimetry import encode_srgb
from napari_drcr.cube import WAVELENGTHS
from napari_drcr.training.records import Preview
from napari_drcr.widgets.marks import PALETTE
from napari_drcr.widgets.plot.page import SMALL, TEXT
from napari_drcr.widgets.plot.text import PIXELS_PER_INCH, drawable, fitted
from napari_drcr.widgets.plot.theme import mix, theme_colours
from napari_drcr.widgets.train.run_record import Curve, RunRecord

FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
LEFT, RIGHT, TOP, BOTTOM, GAP = 48.0, 14.0, 20.0, 36.0, 24.0
"""Margins, and room between axes for a title, in pixels of 1/96 inch."""
DECADE = 10.0
"""Ratio of the largest to the smallest value from which on ticks are powers of ten."""
NO_STEPS = "No step has been taken yet."
ERROR_MAP = "magma"


class Chart(FigureCanvasQTAgg):
    """A figure in the colours of napari that is drawn when it is painted, if something has changed."""

    def __init__(self, height: int) -> None:
        self._stale = True
        self._height = height
        self.colours = theme_colours("dark")
        super().__init__(Figure(dpi=PIXELS_PER_INCH))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(False)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as its dock."""
        return QSize(360, self._height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The size below which little can be read."""
        return QSize(240, self._height)

    def set_theme(self, theme: str) -> None:
        """Take the colours of a theme of napari.

        Parameters
        ----------
        theme : str
            Its id, as in ``viewer.theme``.
        """
        self.colours = theme_colours(theme)
        self.draw_idle()

    def compose(self) -> None:
        """Fill the empty figure."""
        raise NotImplementedError

    def draw_idle(self) -> None:
        """What matplotlib calls when it thinks that something has changed."""
        self._stale = True
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Bring the picture up to date, and show it."""
        if self._stale and min(*self.figure.bbox.size) >= 1:
            self._stale = False
            self.figure.clear()
            self.figure.set_facecolor(self.colours.face)
            self.compose()
            FigureCanvasAgg.draw(self)
        super().paintEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the wheel to whatever scrolls around the chart."""
        event.ignore()

    def enterEvent(self, event: Any) -> None:  # noqa: N802
        """Do nothing: matplotlib would look for something to react."""

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Do nothing: matplotlib would reset a cursor that others have set."""

    def add_axes(self, box: Box, title: str) -> Axes:
        """Add axes in the colours of napari.

        Parameters
        ----------
        box : (float, float, float, float)
            Left and lower edge, width and height, in pixels of 1/96 inch.
        title : str
            Above them; cut to their width.

        Returns
        -------
        matplotlib.axes.Axes
        """
        width, height = self.figure.get_size_inches() * PIXELS_PER_INCH
        left, bottom, wide, high = box
        axes = self.figure.add_axes((left / width, bottom / height, max(wide, 1) / width, max(high, 1) / height))
        axes.set_facecolor(self.colours.face)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(self.colours.quiet)
        axes.tick_params(labelsize=SMALL, length=3, width=0.8, pad=3, color=self.colours.quiet, labelcolor=self.colours.ink)
        axes.set_title(
            fitted(title, TEXT, wide + RIGHT), size=TEXT, loc="left", pad=4, color=self.colours.ink, parse_math=False
        )
        return axes

    def say(self, sentence: str) -> None:
        """Write a sentence into the middle of the figure."""
        self.figure.text(
            0.5, 0.5, drawable(sentence), size=TEXT, ha="center", va="center", color=self.colours.quiet, parse_math=False
        )

    @property
    def room(self) -> tuple[float, float]:
        """Width and height in pixels of 1/96 inch."""
        width, height = self.figure.get_size_inches() * PIXELS_PER_INCH
        return float(width), float(height)


class CurvesChart(Chart):
    """Loss, validation score and learning rate over the steps."""

    def __init__(self) -> None:
        self._record: RunRecord | None = None
        self._metric = ""
        super().__init__(height=330)

    def show_record(self, record: RunRecord | None, metric: str) -> None:
        """Show the curves of a run in place of the others.

        Parameters
        ----------
        record : RunRecord or None
            The run's.
        metric : str
            Name of the validation score.
        """
        self._record, self._metric = record, metric
        self.draw_idle()

    def compose(self) -> None:
        """Three axes above one another."""
        record = self._record
        if record is None or not len(record.losses):
            if record is not None:
                self.say(NO_STEPS)
            return
        width, height = self.room
        free = height - TOP - BOTTOM - 2 * GAP
        shares = (0.42, 0.36, 0.22)
        titles = ("Loss of each step, and its running mean", f"Validation {self._metric}", "Learning rate")
        top = height - TOP
        panels = []
        for share, title in zip(shares, titles, strict=True):
            top -= share * free
            panels.append(self.add_axes((LEFT, top, width - LEFT - RIGHT, share * free), title))
            top -= GAP
        losses, scores, rates = panels
        blue, orange = PALETTE[9], PALETTE[0]
        _draw(losses, record.losses, color=mix(blue, self.colours.face, 0.5), linewidth=0.8)
        _draw(losses, record.means, color=self.colours.ink, linewidth=1.4)
        _draw(scores, record.scores, color=orange, linewidth=1.4, marker="o", markersize=3 if len(record.scores) < 40 else 0)
        _draw(rates, record.rates, color=self.colours.ink, linewidth=1.2)
        for axes, curve in ((losses, record.losses), (scores, record.scores), (rates, record.rates)):
            self._scale(axes, curve[:, 1], logarithmic=axes is not rates)
            axes.set_xlim(0, max(record.step, 1))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
            axes.tick_params(labelbottom=axes is rates)
            axes.grid(color=self.colours.grid, linewidth=0.8)
            axes.set_axisbelow(True)
        rates.set_xlabel("step", size=TEXT, color=self.colours.ink, labelpad=2)

    def _scale(self, axes: Axes, values: FloatArray, *, logarithmic: bool) -> None:
        values = values[np.isfinite(values)]
        if not values.size:
            axes.set_yticks([])
            return
        low, high = float(values.min()), float(values.max())
        if logarithmic and low > 0:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(
                LogLocator(subs=(1.0, 2.0, 5.0), numticks=6) if high / low >= DECADE else MaxNLocator(4)
            )
            axes.set_ylim(low / 1.05, high * 1.05)
        else:
            margin = 0.08 * (high - low or abs(high) or 1)
            axes.set_ylim(low - margin, high + margin)
            axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _draw(axes: Axes, curve: Curve, **style: Any) -> None:
    axes.plot(curve[:, 0], curve[:, 1], **style)


class PreviewChart(Chart):
    """A held-back patch: its RGB, its error, and the spectra of its middle pixel."""

    def __init__(self) -> None:
        self._preview: Preview | None = None
        self._metric = ""
        super().__init__(height=170)

    def show_preview(self, preview: Preview | None, metric: str) -> None:
        """Show a patch in place of the other.

        Parameters
        ----------
        preview : Preview or None
            As of the last validation.
        metric : str
            Name of the validation score.
        """
        self._preview, self._metric = preview, metric
        self.setVisible(preview is not None)
        self.draw_idle()

    def compose(self) -> None:
        """Two pictures and a plot."""
        if (preview := self._preview) is None:
            return
        width, height = self.room
        rgb, truth, estimate = (
            np.nan_to_num(image.astype(np.float64)) for image in (preview.rgb, preview.truth, preview.estimate)
        )
        y, x = truth.shape[1] // 2, truth.shape[2] // 2
        side = (height - TOP - GAP - 8) / 2
        bar = 12.0
        picture = self.add_axes((8, 8 + side + GAP, side, side), "RGB")
        picture.imshow(encode_srgb(np.moveaxis(rgb, 0, -1) / max(1.0, float(rgb.max()))))
        errors = relative_errors(truth, estimate, self._metric)
        finite = errors[np.isfinite(errors)]
        top = max(float(np.quantile(finite, 0.98)), 1e-6) if finite.size else 1.0
        mapped = self.add_axes((8, 8, side, side), "Error")
        shown = mapped.imshow(errors, cmap=ERROR_MAP, vmin=0, vmax=top)
        key = self.add_axes((8 + side + 6, 8, bar / 2, side), "")
        colour_bar = self.figure.colorbar(shown, cax=key)
        colour_bar.outline.set_visible(False)
        colour_bar.set_ticks([0, top], labels=["0", f"{top:.2g}"])
        key.tick_params(labelsize=SMALL, length=0, labelcolor=self.colours.ink)
        for axes in (picture, mapped):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.plot(x, y, marker="s", markersize=6, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.2)
        left = 8 + side + 84
        title = f"Step {preview.step:,}: {preview.scene}, its middle pixel"
        spectra = self.add_axes((left, BOTTOM, width - left - RIGHT, height - TOP - BOTTOM), title)
        for cube, style, label in ((truth, "--", "true"), (estimate, "-", "estimated")):
            spectra.plot(WAVELENGTHS, cube[:, y, x], linestyle=style, color=PALETTE[0], linewidth=1.5, label=label)
        spectra.set_ylim(bottom=min(0.0, *spectra.get_ylim()))
        spectra.legend(fontsize=SMALL, frameon=False, labelcolor=self.colours.ink, loc="best")
        spectra.xaxis.set_major_locator(MaxNLocator(4))
        spectra.yaxis.set_major_locator(MaxNLocator(4))
        spectra.grid(color=self.colours.grid, linewidth=0.8)
        spectra.set_xlabel("wavelength (nm)", size=TEXT, color=self.colours.ink, labelpad=2)


def relative_errors(truth: FloatArray, estimate: FloatArray, metric: str) -> FloatArray:
    """The error map of a patch.

    Parameters
    ----------
    truth, estimate : ndarray, shape (31, y, x)
        In the same units.
    metric : str
        Name of the score, such as "MRAE@0.01": values of the truth below its floor do not count.

    Returns
    -------
    ndarray, shape (y, x)
        The mean over the bands; NaN where no value counts.
    """
    try:
        floor = max(float(metric.partition("@")[2]), 0.0)
    except ValueError:
        floor = 0.0
    counts = (truth >= floor) & (truth > 0)
    with np.errstate(all="ignore"):
        errors = np.where(counts, np.abs(estimate - truth) / truth, 0)
        return np.asarray(errors.sum(axis=0) / counts.sum(axis=0))
