"""The pictures of a run: its curves, and a held-back patch as its model sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QSizePolicy

from napari_drcr.cubes.colorimetry import encode_srgb
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.training.jobs.records import Preview
from napari_drcr.widgets.plot.canvas import Canvas, picture_of
from napari_drcr.widgets.plot.page import SMALL, TEXT, Layer, dress
from napari_drcr.widgets.plot.text import PIXELS_PER_INCH, drawable, fitted
from napari_drcr.widgets.plot.theme import PlotColours, mix
from napari_drcr.widgets.train.run_record import Curve, RunRecord
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.marks import PALETTE

FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
LEFT, RIGHT, TOP, BOTTOM, GAP = 48.0, 14.0, 20.0, 36.0, 24.0
"""Margins, and room between axes for a title, in pixels of 1/96 inch."""
DECADE = 10.0
"""Ratio of the largest to the smallest value from which on ticks are powers of ten."""
CURVES, PREVIEW = 330, 170
"""Heights of the charts, in pixels of the screen."""
NO_STEPS = "No step has been taken yet."
ERROR_MAP = "magma"


class Sheet:
    """A figure in the colours of napari: its size in pixels of 1/96 inch, and the dots of the screen for each of them."""

    def __init__(self, colours: PlotColours, size: tuple[float, float], ratio: float) -> None:
        self.colours, self.size, self.ratio = colours, size, ratio
        inches = (size[0] / PIXELS_PER_INCH, size[1] / PIXELS_PER_INCH)
        self.figure = Figure(figsize=inches, dpi=PIXELS_PER_INCH * ratio, facecolor=colours.face)

    def add_axes(self, box: Box, title: str) -> Axes:
        """Add axes in a box of left and lower edge, width and height, in pixels of 1/96 inch; a long title is cut."""
        width, height = self.size
        left, bottom, wide, high = box
        axes = self.figure.add_axes((left / width, bottom / height, max(wide, 1) / width, max(high, 1) / height))
        dress(axes, self.colours)
        text = fitted(title, TEXT, wide + RIGHT)
        axes.set_title(text, size=TEXT, loc="left", pad=4, color=self.colours.ink, parse_math=False)
        return axes

    def say(self, sentence: str) -> None:
        """Write a sentence into the middle."""
        text = self.figure.text(0.5, 0.5, drawable(sentence), size=TEXT, color=self.colours.quiet, parse_math=False)
        text.set(horizontalalignment="center", verticalalignment="center")

    def picture(self) -> QImage:
        """Draw it."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        return picture_of(canvas, self.ratio)


Compose = Callable[[Sheet], None]


def _draw_sheet(sheet: Sheet, compose: Compose) -> tuple[Sheet, QImage]:
    """Run in a thread: axes and labels take their time, and nobody should wait for them."""
    compose(sheet)
    return sheet, sheet.picture()


class Chart(Canvas):
    """Shows a figure, its `sheet`, that is drawn in a thread, when something has changed and somebody looks."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self.sheet: Sheet | None = None
        self._compose: Compose = lambda _sheet: None
        self._background = Background(self, self.setToolTip, self.setToolTip, task="Drawing")
        self._background.finished.connect(self.update)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(240)
        self.setFixedHeight(height)

    def show_sheet(self, compose: Compose) -> None:
        """Show another figure, once `compose` has filled a sheet, in a thread; again for another size or theme."""
        self._compose = compose
        self.refresh()

    def clear(self) -> None:
        """Show nothing until there is something new."""
        self._background.cancel()
        self.sheet = self._picture = None

    def detach(self) -> None:
        """Draw nothing any more."""
        self._background.detach()

    def _draw(self) -> None:
        if not self._background.running:
            self._stale = Layer.NONE
            sheet = Sheet(self._colours, (self.width(), self.height()), self.devicePixelRatioF())
            self._background.run(_draw_sheet, sheet, self._compose, done=self._take)

    def _take(self, drawn: tuple[Sheet, QImage]) -> None:
        self.sheet, self._picture = drawn
        self.update()


def draw_curves(sheet: Sheet, record: RunRecord, metric: str) -> None:
    """Loss, validation score and learning rate over the steps, on an empty sheet."""
    if not len(record.losses):
        sheet.say(NO_STEPS)
        return
    width, height = sheet.size
    free = height - TOP - BOTTOM - 2 * GAP
    shares = (0.42, 0.36, 0.22)
    titles = ("Loss of each step and running mean", f"Validation {metric}", "Learning rate")
    top = height - TOP
    panels = []
    for share, title in zip(shares, titles, strict=True):
        top -= share * free
        panels.append(sheet.add_axes((LEFT, top, width - LEFT - RIGHT, share * free), title))
        top -= GAP
    losses, scores, rates = panels
    blue, orange = PALETTE[9], PALETTE[0]
    _draw(losses, record.losses, color=mix(blue, sheet.colours.face, 0.5), linewidth=0.8)
    _draw(losses, record.means, color=sheet.colours.ink, linewidth=1.4)
    _draw(scores, record.scores, color=orange, linewidth=1.4, marker="o", markersize=3 if len(record.scores) < 40 else 0)
    _draw(rates, record.rates, color=sheet.colours.ink, linewidth=1.2)
    for axes, curve in ((losses, record.losses), (scores, record.scores), (rates, record.rates)):
        _scale(axes, curve[:, 1], logarithmic=axes is not rates)
        axes.set_xlim(0, max(record.step, 1))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.tick_params(labelbottom=axes is rates)
        axes.grid(color=sheet.colours.grid, linewidth=0.8)
        axes.set_axisbelow(True)
    rates.set_xlabel("step", size=TEXT, color=sheet.colours.ink, labelpad=2)


def _scale(axes: Axes, values: FloatArray, *, logarithmic: bool) -> None:
    values = values[np.isfinite(values)]
    if not values.size:
        axes.set_yticks([])
        return
    low, high = float(values.min()), float(values.max())
    if logarithmic and low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6) if high / low >= DECADE else MaxNLocator(4))
        axes.set_ylim(low / 1.05, high * 1.05)
    else:
        margin = 0.08 * (high - low or abs(high) or 1)
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """A number that fits beside the axes: 0.00016 does not, 1.6e-4 does."""
    text = f"{value:.3g}"
    return text if len(text) <= 6 else f"{value:.1e}".replace("e-0", "e-")


def _draw(axes: Axes, curve: Curve, **style: Any) -> None:
    axes.plot(curve[:, 0], curve[:, 1], **style)


def draw_preview(sheet: Sheet, preview: Preview, metric: str) -> None:
    """A held-back patch, on an empty sheet: its RGB, its error, and the spectra of its middle pixel."""
    width, height = sheet.size
    rgb, truth, estimate = (np.nan_to_num(image.astype(np.float64)) for image in (preview.rgb, preview.truth, preview.estimate))
    y, x = truth.shape[1] // 2, truth.shape[2] // 2
    side = (height - TOP - GAP - 8) / 2
    bar = 12.0
    picture = sheet.add_axes((8, 8 + side + GAP, side, side), "RGB")
    picture.imshow(encode_srgb(np.moveaxis(rgb, 0, -1) / max(1.0, float(rgb.max()))))
    errors = relative_errors(truth, estimate, metric)
    finite = errors[np.isfinite(errors)]
    top = max(float(np.quantile(finite, 0.98)), 1e-6) if finite.size else 1.0
    mapped = sheet.add_axes((8, 8, side, side), "Error")
    shown = mapped.imshow(errors, cmap=ERROR_MAP, vmin=0, vmax=top)
    key = sheet.add_axes((8 + side + 6, 8, bar / 2, side), "")
    colour_bar = sheet.figure.colorbar(shown, cax=key)
    colour_bar.outline.set_visible(False)
    colour_bar.set_ticks([0, top], labels=["0", f"{top:.2g}"])
    key.tick_params(labelsize=SMALL, length=0, labelcolor=sheet.colours.ink)
    for axes in (picture, mapped):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.plot(x, y, marker="s", markersize=6, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.2)
    left = 8 + side + 84
    title = f"Step {preview.step:,}: {preview.scene}, its middle pixel"
    spectra = sheet.add_axes((left, BOTTOM, width - left - RIGHT, height - TOP - BOTTOM), title)
    for cube, style, label in ((truth, "--", "true"), (estimate, "-", "estimated")):
        spectra.plot(WAVELENGTHS, cube[:, y, x], linestyle=style, color=PALETTE[0], linewidth=1.5, label=label)
    spectra.set_ylim(bottom=min(0.0, *spectra.get_ylim()))
    spectra.legend(fontsize=SMALL, frameon=False, labelcolor=sheet.colours.ink, loc="best")
    spectra.xaxis.set_major_locator(MaxNLocator(4))
    spectra.yaxis.set_major_locator(MaxNLocator(4))
    spectra.grid(color=sheet.colours.grid, linewidth=0.8)
    spectra.set_xlabel("wavelength (nm)", size=TEXT, color=sheet.colours.ink, labelpad=2)


def relative_errors(truth: FloatArray, estimate: FloatArray, metric: str) -> FloatArray:
    """The error map of a patch: the mean over the bands, NaN where no value counts.

    Parameters
    ----------
    truth, estimate : ndarray, shape (31, y, x)
        In the same units.
    metric : str
        Name of the score, such as "MRAE@0.01": values of the truth below its floor do not count.
    """
    try:
        floor = max(float(metric.partition("@")[2]), 0.0)
    except ValueError:
        floor = 0.0
    counts = (truth >= floor) & (truth > 0)
    with np.errstate(all="ignore"):
        errors = np.where(counts, np.abs(estimate - truth) / truth, 0)
        return np.asarray(errors.sum(axis=0) / counts.sum(axis=0))
