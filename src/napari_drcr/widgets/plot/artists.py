"""What matplotlib draws for curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.lines import Line2D

from napari_drcr.widgets.plot.curves import Curve, isolated

THIN, THICK = 1.4, 2.8
"""Widths of lines, in points."""


def curve_artists(curves: Sequence[Curve], kind: str) -> list[Artist]:
    """Pale bands, lines, and markers where a value stands alone, in the order in which to draw them; thick lines last.

    All are animated, in matplotlib's sense, and in no axes yet. Their names in SVG files begin with the kind.
    """
    artists: list[Artist] = []
    for number, curve in enumerate(curves, start=1):
        if curve.low is not None and curve.high is not None:
            inside = np.isfinite(curve.low) & np.isfinite(curve.high)
            band = FillBetweenPolyCollection("x", curve.wavelengths, curve.low, curve.high, where=inside)
            band.set(color=curve.colour, alpha=0.22, linewidth=0, zorder=2.6)
            artists.append(band)
        line = Line2D(curve.wavelengths, curve.values, color=curve.colour, linewidth=THICK if curve.thick else THIN)
        line.set_zorder(2.8 if curve.thick else 2.7)
        line.set(linestyle=curve.style)
        if alone := isolated(curve.values):
            line.set(marker="o", markersize=6 if curve.thick else 4.5, markevery=alone)
        line.set_label(curve.label)
        line.set_gid("-".join([kind, str(number), *curve.label.split()]))
        artists.append(line)
    for artist in artists:
        artist.set_animated(True)
    return sorted(artists, key=lambda artist: artist.zorder)


def mark_beyond(axes: Axes, curves: Sequence[Curve], colour: str) -> Artist:
    """Arrows at the upper edge of axes, whose limits must be set, where a curve leaves them: one animated artist for all."""
    top = axes.get_ylim()[1]
    places = np.unique(np.concatenate([np.zeros(0), *(curve.wavelengths[curve.values > top] for curve in curves)]))
    arrows = axes.scatter(places, np.ones(places.size), s=14, marker="^", color=colour, linewidths=0)
    arrows.set(offset_transform=axes.get_xaxis_transform(), clip_on=False, animated=True)
    return arrows


def lay_over(axes: Axes, artist: Any) -> Any:
    """Let an artist, which is returned, be drawn in axes without being theirs, so that neither files nor searches find it."""
    artist.set_figure(axes.figure)
    artist.axes = axes
    if not artist.is_transform_set():
        artist.set_transform(axes.transData)
    artist.set_clip_box(axes.bbox)
    return artist
