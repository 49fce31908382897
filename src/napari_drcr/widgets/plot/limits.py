"""Limits of the axes of a plot that suit its curves, and stay as they are as long as they can."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_drcr.widgets.plot.curves import Curve

Limits = tuple[float, float]

VISIBLE = (400.0, 700.0)
"""What the axis of a plot without curves shows, in nm."""
LEAST_ERROR = 0.1
"""Relative error at the top of a strip whose curves are all better."""


class AllLimits(NamedTuple):
    """Of the wavelengths in nm, of the values, and of the relative errors in the strip."""

    wavelengths: Limits
    values: Limits
    errors: Limits


class FittingLimits:
    """The limits of a plot's axes, as they follow its curves and its preview.

    To change limits is slow, and tiring to look at. So those of values and errors stay while the curves fit and need half of
    them. A preview only widens them; without it they are again what the curves had.
    """

    def __init__(self) -> None:
        self.present = limits_for((), ())
        self._own: AllLimits | None = None
        self._widened = False

    def fit(
        self,
        curves: Sequence[Curve],
        errors: Sequence[Curve],
        previewed: Sequence[Curve] = (),
        previewed_errors: Sequence[Curve] = (),
    ) -> bool:
        """Follow curves and preview; whether the limits have changed."""
        before = self.present
        own = limits_for(curves, errors)
        if not curves:
            self._own = None
        else:
            self._own = own if self._own is None else _suited(self._own, own, (1.0, 2.0, 2.0))
        self.present = self._own or own
        widening = bool(previewed or previewed_errors)
        if widening:
            # A preview on its way over dark places does not pump a strip with curves up and down.
            needed = limits_for((*curves, *previewed), errors or previewed_errors)
            start = before if self._widened else self._own
            self.present = needed if start is None else _suited(start, needed, (math.inf,) * 3)
        self._widened = widening
        return self.present != before


def limits_for(curves: Sequence[Curve], errors: Sequence[Curve]) -> AllLimits:
    """The limits that suit curves, and errors in the strip, if nothing was shown before."""
    return AllLimits(wavelength_limits(curves), value_limits(curves), error_limits(errors))


def wavelength_limits(curves: Sequence[Curve]) -> Limits:
    """The range of all curves in nm, with a little air at both ends; without curves, that of visible light."""
    centres = [curve.wavelengths for curve in curves if curve.wavelengths.size]
    low = float(min((nm.min() for nm in centres), default=VISIBLE[0]))
    high = float(max((nm.max() for nm in centres), default=VISIBLE[1]))
    air = 0.015 * (high - low) or 10.0
    return low - air, high + air


def value_limits(curves: Sequence[Curve]) -> Limits:
    """A rounded range around zero and all finite values, so that most further curves lie within it.

    The lower limit is 0 if no value is negative.
    """
    values = _finite([part for curve in curves for part in (curve.values, curve.low, curve.high) if part is not None])
    low, high = min(0.0, values.min(initial=0.0)), max(0.0, values.max(initial=0.0))
    if low == high:
        return 0.0, 1.0
    step = _rounded_up((high - low) / 5, (1, 2, 2.5, 5))
    # Half steps below, where what is negative is mostly a little noise.
    return math.floor(low / step * 2 + 1e-6) * step / 2, math.ceil(high / step - 1e-6) * step


def error_limits(errors: Sequence[Curve]) -> Limits:
    """From 0 to a rounded relative error, at least `LEAST_ERROR`, that 95 % of all bands stay below.

    So a few dark bands do not flatten the others.
    """
    values = _finite([curve.values for curve in errors])
    usual = float(np.quantile(values, 0.95, method="lower")) if values.size else 0.0
    return 0.0, _rounded_up(max(LEAST_ERROR, usual * 1.05), (1, 1.5, 2, 3, 4, 5, 6, 8))


def suit(present: Limits, needed: Limits, slack: float) -> Limits:
    """The present limits if they cover those needed and are at most `slack` times as far apart, else those needed.

    To change them is slow, and tiring to look at.
    """
    covered = present[0] <= needed[0] and needed[1] <= present[1]
    return present if covered and present[1] - present[0] <= slack * (needed[1] - needed[0]) else needed


def _suited(present: AllLimits, needed: AllLimits, slacks: tuple[float, float, float]) -> AllLimits:
    return AllLimits(*map(suit, present, needed, slacks))


def _finite(parts: list[npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
    values = np.concatenate([np.zeros(0), *parts]).astype(np.float64)
    return values[np.isfinite(values)]


def _rounded_up(value: float, leading: Sequence[float]) -> float:
    """The smallest number that is not below a positive value and begins with one of these figures, of 1 to below 10."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(figure * power for figure in (*leading, 10) if figure * power >= value * (1 - 1e-9))
