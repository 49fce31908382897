"""The colours of a plot: those of napari's theme on the screen, and black on white on paper."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from napari.utils.theme import get_theme

from napari_drcr.analysis.figures._page import INK, QUIET
from napari_drcr.cubes.colorimetry import LUMINANCE, decode_srgb

LEAST_CONTRAST = 4.5
"""Between text and what is behind it, as WCAG 2 asks."""
LEAST_ON_PAPER = 1.7
"""Between a curve and white paper; below it a curve is printed darker."""


class PlotColours(NamedTuple):
    """Colours as "#rrggbb": behind everything, of axes and labels, of what should stand back, and of grid lines."""

    face: str
    ink: str
    quiet: str
    grid: str


PAPER = PlotColours("#ffffff", INK, QUIET, "#e6e6e6")


def theme_colours(theme: str) -> PlotColours:
    """The background and text of a theme of napari; black or white for a text that cannot be read."""
    found = get_theme(theme)
    face, ink = (_hex(colour.as_rgb_tuple(alpha=False)) for colour in (found.background, found.text))
    if contrast(ink, face) < LEAST_CONTRAST:
        ink = max("#000000", "#ffffff", key=lambda candidate: contrast(candidate, face))
    return PlotColours(face, ink, quiet=mix(ink, face, 0.25), grid=mix(ink, face, 0.87))


def printable(colour: str) -> str:
    """The colour of a curve as "#rrggbb", darkened if it would be lost on white paper."""
    from matplotlib.colors import to_hex

    return next(
        darker
        for darker in (mix(to_hex(colour), "#000000", step / 20) for step in range(21))
        if contrast(darker, PAPER.face) >= LEAST_ON_PAPER
    )


def mix(first: str, second: str, share: float) -> str:
    """A colour between two ("#rrggbb"), with a share of the second in [0, 1]."""
    return _hex(tuple(round((1 - share) * a + share * b) for a, b in zip(_rgb(first), _rgb(second), strict=True)))


def contrast(first: str, second: str) -> float:
    """How well two colours ("#rrggbb") can be told apart, from 1 (not at all) to 21, as WCAG 2 defines it."""
    dark, light = sorted(float(decode_srgb(np.array(_rgb(colour)) / 255) @ LUMINANCE) for colour in (first, second))
    return (light + 0.05) / (dark + 0.05)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:7]))


def _hex(rgb: tuple[int, ...]) -> str:
    return "#" + bytes(rgb).hex()
