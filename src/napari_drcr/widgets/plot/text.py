"""Texts of a plot, measured and cut to the room there is."""

from __future__ import annotations

from functools import cache, lru_cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties, findfont, get_font

PIXELS_PER_INCH = 96
"""Of the plot's own pixels, whatever the screen's are: sizes on screen and on paper agree."""


@lru_cache(maxsize=1024)
def text_width(text: str, size: float) -> float:
    """How wide a line is in pixels of 1/96 inch, in type of this size in points."""
    # As on a screen without finer dots, where hinting makes it widest.
    width, _, _ = _ruler().get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(width)


def fitted(text: str, size: float, width: float) -> str:
    """A line, with an ellipsis for its middle where it is wider than this many pixels of 1/96 inch; at least the ellipsis."""
    text = drawable(text)
    whole = text_width(text, size)
    if whole <= width:
        return text
    for kept in range(min(len(text) - 1, int(len(text) * max(width, 0) / whole)), 0, -1):
        shortened = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
        if text_width(shortened, size) <= width:
            return shortened
    return "…"


def shared_out(widths: list[float], room: float) -> list[float]:
    """Room for each of several texts: the width it needs or, if that is too much for all, a limit for the long ones."""
    left, limit = room, room
    for number, width in enumerate(sorted(widths)):
        limit = left / (len(widths) - number)
        if width > limit:
            break
        left -= width
    else:
        return widths
    return [min(width, limit) for width in widths]


def drawable(text: str) -> str:
    """A text on one line, with the replacement character for those that the font lacks.

    matplotlib would warn of each, again and again.
    """
    known = _characters()
    return "".join(letter if ord(letter) in known else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


@cache
def _ruler() -> RendererAgg:
    return RendererAgg(1, 1, PIXELS_PER_INCH)


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
