"""The drawing of spectra in a matplotlib figure, the same on the screen and in a file; it knows neither Qt nor napari."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from napari_drcr.widgets.plot.artists import curve_artists, lay_over, mark_beyond
from napari_drcr.widgets.plot.curves import Content, Curve
from napari_drcr.widgets.plot.limits import FittingLimits, Limits
from napari_drcr.widgets.plot.text import PIXELS_PER_INCH, drawable, fitted, shared_out, text_width
from napari_drcr.widgets.plot.theme import PAPER, PlotColours, printable

TEXT, SMALL = 8.5, 8.0
"""Sizes of type, in points."""
LEFT, RIGHT, TOP, BOTTOM = 30.0, 12.0, 8.0, 36.0
"""Margins in pixels of 1/96 inch; the widest label of the y axes comes to the left one."""
ROW, GAP, SAMPLE = 15.0, 24.0, 22.0
"""Height of a row of the key, of the space between the axes; width of the sample of a line."""
SMALLEST = (280, 220)
"""Width and height of the smallest picture on paper, in pixels of 1/96 inch."""
PRINT_DPI = 300
NEAR = 6.0
"""How far from a curve, in pixels, the pointer may be to mean it."""


class Layer(IntEnum):
    """The layers of the drawing; one that has changed takes those of smaller number with it."""

    NONE = 0
    OVERLAY = 1
    CURVES = 2
    BACKGROUND = 3


def dress(axes: Axes, colours: PlotColours) -> None:
    """Give axes the frame and the ticks that those of all plots have."""
    axes.set_facecolor(colours.face)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(colours.quiet)
    axes.tick_params(labelsize=SMALL, length=3, width=0.8, pad=3, color=colours.quiet, labelcolor=colours.ink)


class Page:
    """Axes for spectra and, if wanted, a strip for relative errors below, in layers that can be drawn one by one.

    Figure.draw draws the background; the rest is animated, in matplotlib's sense, and drawn over it by `draw_curves` and
    `draw_overlay`. Files take all but the overlay. What changes the page tells from which layer on it must be drawn anew.
    The size is in inches.
    """

    def __init__(
        self, colours: PlotColours, *, strip: bool, size: tuple[float, float] = (4, 4), dpi: float = PIXELS_PER_INCH
    ) -> None:
        self.figure = figure = Figure(figsize=size, dpi=dpi)
        self.axes = figure.add_axes((0.1, 0.5, 0.8, 0.4))
        self.strip_axes = figure.add_axes((0.1, 0.1, 0.8, 0.2), sharex=self.axes) if strip else None
        self.content = Content()
        self.common_range: Limits | None = None
        self.wavelength: float | None = None
        self.key_height = 0.0
        self._limits = FittingLimits()
        self._curves: list[Artist] = []
        self._previews: list[Artist] = []
        self._previewed: tuple[Sequence[Curve], Sequence[Curve]] = (), ()
        self._furniture: list[Artist] = []
        self._hint = self.axes.text(0.5, 0.5, "", size=TEXT, ha="center", va="center", transform=self.axes.transAxes)
        self._hint.set(animated=True, parse_math=False)
        self._markers = [
            lay_over(axes, Line2D([], [], linewidth=1, transform=axes.get_xaxis_transform())) for axes in self.all_axes
        ]
        for axes in self.all_axes:
            axes.set_autoscale_on(False)
            axes.set_axisbelow(True)
            axes.yaxis.set_major_formatter(FuncFormatter(_number if axes is self.axes else _percent))
        self.axes.xaxis.set_major_formatter(FuncFormatter(_number))
        self.all_axes[-1].set_xlabel("wavelength (nm)", size=TEXT)
        if strip:
            self.axes.tick_params(labelbottom=False)
        self._set_limits()
        self.set_colours(colours)

    @property
    def all_axes(self) -> list[Axes]:
        """The upper axes and, if there is one, the strip."""
        return [self.axes] if self.strip_axes is None else [self.axes, self.strip_axes]

    @property
    def previewed(self) -> Sequence[Curve]:
        """The curves previewed in the upper axes."""
        return self._previewed[0]

    def set_colours(self, colours: PlotColours) -> Layer:
        """Draw with other colours from now on; curves keep theirs."""
        self.colours = colours
        self.figure.set_facecolor(colours.face)
        self._hint.set_color(colours.quiet)
        for marker in self._markers:
            marker.set_color(colours.ink)
        for axes in self.all_axes:
            dress(axes, colours)
            axes.grid(axis="y", color=colours.grid, linewidth=0.8)
            for label in (axes.xaxis.label, axes.yaxis.label):
                label.set_color(colours.ink)
        self._remake_curves()
        return Layer.BACKGROUND

    def show(self, content: Content) -> Layer:
        """Show these curves in place of the others."""
        relabelled = content.labels != self.content.labels
        self.content = content
        moved = self._fit()
        self._remake_curves()
        return Layer.BACKGROUND if relabelled or moved else Layer.CURVES

    def preview(self, curves: Sequence[Curve], errors: Sequence[Curve]) -> Layer:
        """Show these curves over the others."""
        if self.strip_axes is None:
            errors = ()
        self._previewed = curves, errors
        moved = self._fit()
        if moved:
            self._remake_curves()
        self._previews = [lay_over(self.axes, artist) for artist in curve_artists(curves, "preview")]
        if self.strip_axes is not None:
            self._previews += [lay_over(self.strip_axes, artist) for artist in curve_artists(errors, "preview")]
        return Layer.BACKGROUND if moved else Layer.OVERLAY

    def set_wavelength(self, nm: float | None) -> Layer:
        """Move the vertical line, or take it away."""
        self.wavelength = nm
        for marker in self._markers:
            marker.set_xdata([nm, nm] if nm is not None else [])
            marker.set_ydata([0, 1] if nm is not None else [])
        return Layer.OVERLAY

    def set_common_range(self, nm: Limits | None) -> Layer:
        """Shade other wavelengths in the strip, and name the range."""
        changed, self.common_range = nm != self.common_range, nm
        return Layer.BACKGROUND if changed else Layer.NONE

    def on_paper(self) -> Figure:
        """The same page on white, of the same size unless that is tiny, without overlay."""
        wide, tall = (
            max(side, least / PIXELS_PER_INCH) for side, least in zip(self.figure.get_size_inches(), SMALLEST, strict=True)
        )
        page = Page(PAPER, strip=self.strip_axes is not None, size=(wide, tall), dpi=PRINT_DPI)
        page._limits.present, page.common_range = self._limits.present, self.common_range
        page._set_limits()
        curves, errors = (
            tuple(replace(curve, colour=printable(curve.colour)) for curve in shown)
            for shown in (self.content.curves, self.content.errors)
        )
        page.content = replace(self.content, curves=curves, errors=errors, hint="")
        page._remake_curves()
        page.lay_out()
        return page.figure

    def lay_out(self) -> None:
        """Give everything its place and write the texts that depend on the room; before the background is drawn."""
        for artist in self._furniture:
            artist.remove()
        self._furniture = []
        width, height = self.figure.get_size_inches() * PIXELS_PER_INCH
        self.key_height = self._draw_key(width, height)
        inside = height - TOP - self.key_height - BOTTOM
        below = 0.0 if self.strip_axes is None else min(max(0.24 * inside, 34.0), 110.0)
        heights = [max(1.0, inside - below - (GAP if below else 0.0)), below][: len(self.all_axes)]
        for axes, tall, most in zip(self.all_axes, heights, (6, 4), strict=False):
            axes.yaxis.set_major_locator(MaxNLocator(max(1, min(most, int(tall / 17))), steps=[1, 2, 5, 10]))
        labels = [axes.yaxis.get_major_formatter()(tick) for axes in self.all_axes for tick in axes.get_yticks()]
        left = LEFT + max(8 * np.ceil(text_width(label, SMALL) / 8) for label in labels)
        wide = max(1.0, width - left - RIGHT)
        self.axes.xaxis.set_major_locator(MaxNLocator(max(1, min(8, int(wide / 50))), steps=[1, 2, 2.5, 5, 10]))
        bottoms = [BOTTOM] if len(heights) == 1 else [BOTTOM + below + GAP, BOTTOM]
        for axes, tall, bottom in zip(self.all_axes, heights, bottoms, strict=True):
            axes.set_position((left / width, bottom / height, wide / width, tall / height))
        self.axes.set_ylabel(
            fitted(self.content.value_label, TEXT, heights[0] + 8), size=TEXT, verticalalignment="top", parse_math=False
        )
        self.axes.yaxis.set_label_coords((4 - left) / wide, 0.5)
        lowest = self.all_axes[-1].xaxis
        lowest.set_label_coords(0.5, (4 - BOTTOM) / heights[-1])
        lowest.label.set_verticalalignment("bottom")
        lines = textwrap.wrap(drawable(self.content.hint), max(10, int(wide / text_width("n", TEXT))))
        self._hint.set_text("\n".join(lines))
        if self.strip_axes is not None:
            self._head_strip(self.strip_axes, left, width, (BOTTOM + below + 5) / height)

    def draw_curves(self, renderer: RendererBase) -> None:
        """Draw the curves over the background."""
        for artist in self._curves:
            artist.draw(renderer)

    def draw_overlay(self, renderer: RendererBase) -> None:
        """Draw what changes most often over the curves: preview, wavelength line, the hint of an empty plot."""
        self._hint.set_visible(not self.content.curves and not self._previews)
        for artist in (self._hint, *self._previews, *self._markers):
            artist.draw(renderer)

    def wavelength_at(self, x: float, y: float) -> float | None:
        """The wavelength in nm at a place of the figure, in its dots from the lower left; None beside the axes."""
        return self.clamped_wavelength(x) if any(axes.bbox.contains(x, y) for axes in self.all_axes) else None

    def clamped_wavelength(self, x: float) -> float:
        """The wavelength in nm at a place of the figure, or the nearest one that the axes show."""
        low, high = self._limits.present.wavelengths
        return min(max(float(self.axes.transData.inverted().transform((x, 0))[0]), low), high)

    def describe(self, x: float, y: float) -> list[str]:
        """What is at a place of the figure: the labels of the curves close by, else what may be shown there shortened."""
        scale = self.figure.dpi / PIXELS_PER_INCH
        if y > self.figure.bbox.height - (TOP + self.key_height) * scale:
            return [name for name, _ in self.content.key]
        if x < self.axes.bbox.x0:
            return [self.content.value_label]
        found = []
        for axes, curves in zip(self.all_axes, (self.content.curves, self.content.errors), strict=False):
            if axes.bbox.contains(x, y):
                nm = self.clamped_wavelength(x)
                for curve in curves:
                    value = np.interp(nm, curve.wavelengths, curve.values, left=np.nan, right=np.nan)
                    if abs(axes.transData.transform((nm, value))[1] - y) <= NEAR * scale:
                        found.append(curve.label)
        return list(dict.fromkeys(found))

    def _fit(self) -> bool:
        """Adapt the limits to what is shown; whether they have changed."""
        changed = self._limits.fit(self.content.curves, self.content.errors, *self._previewed)
        if changed:
            self._set_limits()
        return changed

    def _set_limits(self) -> None:
        nm, (low, high), (_, worst) = self._limits.present
        self.axes.set_xlim(nm)
        # Room for a line that runs along the limit.
        air = 0.03 * (high - low)
        self.axes.set_ylim(low - (air if low < 0 else 0), high + air)
        if self.strip_axes is not None:
            self.strip_axes.set_ylim(0, worst * 1.03)

    def _remake_curves(self) -> None:
        for artist in self._curves:
            artist.remove()
        self._curves = [self.axes.add_artist(artist) for artist in curve_artists(self.content.curves, "curve")]
        if self.strip_axes is not None:
            errors = [self.strip_axes.add_artist(artist) for artist in curve_artists(self.content.errors, "error")]
            self._curves += [*errors, mark_beyond(self.strip_axes, self.content.errors, self.colours.quiet)]

    def _draw_key(self, width: float, height: float) -> float:
        """Draw samples of the line styles and their names; the height that they take."""
        key = self.content.key
        if not key:
            return 0.0
        room = width - 2 * TOP
        needed = [SAMPLE + 16 + text_width(drawable(name), SMALL) for name, _ in key]
        most_rows = max(1, int(0.25 * height / ROW))
        columns = len(key) if sum(needed) <= room else max(1, int(room / 110), math.ceil(len(key) / most_rows))
        rows = math.ceil(len(key) / columns)
        for row in range(rows):
            x, y = TOP, height - TOP / 2 - ROW * (row + 0.5)
            inside = slice(row * columns, (row + 1) * columns)
            for (name, style), wide in zip(key[inside], shared_out(needed[inside], room), strict=True):
                sample = Line2D([x / width, (x + SAMPLE) / width], [y / height] * 2, color=self.colours.ink, linewidth=1.4)
                sample.set(linestyle=style, transform=self.figure.transFigure)
                self._furniture.append(self.figure.add_artist(sample))
                name = fitted(name, SMALL, wide - SAMPLE - 15)
                self._write((x + SAMPLE + 6) / width, y / height, name, color=self.colours.ink, va="center_baseline")
                x += wide
        return ROW * rows

    def _head_strip(self, axes: Axes, left: float, width: float, y: float) -> None:
        """Write above the strip what it shows and over which range, and shade what lies outside of that."""
        room = width - left - RIGHT
        said = ""
        if self.common_range is not None:
            low, high = self.common_range
            for edges in zip(self._limits.present.wavelengths, self.common_range, strict=True):
                if abs(edges[0] - edges[1]) > 0.02 * (high - low):
                    self._furniture.append(axes.axvspan(*edges, color=self.colours.ink, alpha=0.1, linewidth=0, zorder=0))
            said = f"{low:.0f}-{high:.0f} nm"
            whole = f"compared over {said}"
            if text_width(f"{self.content.error_label}  {whole}", SMALL) <= room:
                said = whole
        self._write((width - RIGHT) / width, y, fitted(said, SMALL, room), color=self.colours.quiet, ha="right")
        label = fitted(self.content.error_label, SMALL, room - text_width(said, SMALL) - 10)
        self._write(left / width, y, label, color=self.colours.ink)

    def _write(self, x: float, y: float, text: str, **style: Any) -> None:
        self._furniture.append(self.figure.text(x, y, text, size=SMALL, parse_math=False, **style))


def _number(value: float, _place: int | None = None) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float, _place: int | None = None) -> str:
    return f"{100 * value:.6g}%"
