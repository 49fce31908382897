"""The curves of a plot, and the axis limits that suit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LineStyle = str | tuple[float, Sequence[float]]
"""Of matplotlib: a name such as "-" or "--", or an offset and the lengths of dashes and gaps in widths of the line."""
Limits = tuple[float, float]

VISIBLE = (400.0, 700.0)
"""What the axis of a plot without curves shows, in nm."""
LEAST_ERROR = 0.1
"""Relative error at the top of a strip whose curves are all better."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a plot.

    Parameters
    ----------
    wavelengths : ndarray, shape (bands,)
        In nm, ascending.
    values : ndarray, shape (bands,)
        NaN makes a gap.
    colour : str
        As "#rrggbb".
    style : LineStyle
        Of the line.
    label : str
        What the tooltip and the SVG file call it.
    low, high : ndarray, shape (bands,), optional
        Edges of a pale band around it, in the same colour.
    thick : bool
        Whether it is highlighted.
    """

    wavelengths: npt.NDArray[np.floating]
    values: npt.NDArray[np.floating]
    colour: str
    style: LineStyle
    label: str = ""
    low: npt.NDArray[np.floating] | None = None
    high: npt.NDArray[np.floating] | None = None
    thick: bool = False


@dataclass(frozen=True)
class Content:
    """What a plot shows, as `SpectrumPlot.show_curves` is told."""

    curves: tuple[Curve, ...] = ()
    errors: tuple[Curve, ...] = ()
    value_label: str = ""
    error_label: str = ""
    key: tuple[tuple[str, LineStyle], ...] = ()
    hint: str = ""

    @property
    def labels(self) -> tuple[object, ...]:
        """All that is not curves."""
        return self.value_label, self.error_label, self.key, self.hint


def wavelength_limits(curves: Sequence[Curve]) -> Limits:
    """The range of all curves, with a little air at both ends.

    Parameters
    ----------
    curves : sequence of Curve
        May be empty; then it is that of visible light.

    Returns
    -------
    tuple of float
        In nm.
    """
    centres = [curve.wavelengths for curve in curves if curve.wavelengths.size]
    low = float(min((nm.min() for nm in centres), default=VISIBLE[0]))
    high = float(max((nm.max() for nm in centres), default=VISIBLE[1]))
    air = 0.015 * (high - low) or 10.0
    return low - air, high + air


def value_limits(curves: Sequence[Curve]) -> Limits:
    """A rounded range around zero and all values, so that most further curves lie within it.

    Parameters
    ----------
    curves : sequence of Curve
        May be empty. NaN and infinite values do not count.

    Returns
    -------
    tuple of float
        The lower one is 0 if no value is negative.
    """
    values = _finite([part for curve in curves for part in (curve.values, curve.low, curve.high) if part is not None])
    low, high = min(0.0, values.min(initial=0.0)), max(0.0, values.max(initial=0.0))
    if low == high:
        return 0.0, 1.0
    step = _rounded_up((high - low) / 5, (1, 2, 2.5, 5))
    # Half steps below, where what is negative is mostly a little noise.
    return math.floor(low / step * 2 + 1e-6) * step / 2, math.ceil(high / step - 1e-6) * step


def error_limits(errors: Sequence[Curve]) -> Limits:
    """From 0 to a rounded relative error that 95 % of all bands stay below: a few dark bands do not flatten the others.

    Parameters
    ----------
    errors : sequence of Curve
        Relative errors, 0.1 for 10 %; may be empty. NaN and infinite values do not count.

    Returns
    -------
    tuple of float
        The upper one is at least `LEAST_ERROR`.
    """
    values = _finite([curve.values for curve in errors])
    usual = float(np.quantile(values, 0.95, method="lower")) if values.size else 0.0
    return 0.0, _rounded_up(max(LEAST_ERROR, usual * 1.05), (1, 1.5, 2, 3, 4, 5, 6, 8))


def suit(present: Limits, needed: Limits, slack: float) -> Limits:
    """The present limits as long as they will do, else those needed: to change them is slow, and tiring to look at.

    Parameters
    ----------
    present, needed : tuple of float
        Lower and upper limit.
    slack : float
        How many times as far apart as needed limits may be that will do.

    Returns
    -------
    tuple of float
        One of the two.
    """
    covered = present[0] <= needed[0] and needed[1] <= present[1]
    return present if covered and present[1] - present[0] <= slack * (needed[1] - needed[0]) else needed


def isolated(values: npt.NDArray[np.floating]) -> list[int]:
    """The values that no line can show, because their neighbours are missing.

    Parameters
    ----------
    values : ndarray, shape (bands,)
        NaN where there is none.

    Returns
    -------
    list of int
        Their indices.
    """
    there = np.pad(np.isfinite(values), 1)
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()


def _finite(parts: list[npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
    values = np.concatenate([np.zeros(0), *parts]).astype(np.float64)
    return values[np.isfinite(values)]


def _rounded_up(value: float, leading: Sequence[float]) -> float:
    """The smallest number that is not below a positive value and begins with one of these figures, of 1 to below 10."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(figure * power for figure in (*leading, 10) if figure * power >= value * (1 - 1e-9))
