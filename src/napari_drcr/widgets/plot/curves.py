"""What a plot of spectra shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LineStyle = str | tuple[float, Sequence[float]]
"""Of matplotlib: a name such as "-" or "--", or an offset and the lengths of dashes and gaps in widths of the line."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a plot.

    Parameters
    ----------
    wavelengths, values : ndarray, shape (bands,)
        In nm, ascending; a value of NaN makes a gap.
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


def isolated(values: npt.NDArray[np.floating]) -> list[int]:
    """Indices of the values that no line can show, because their neighbours are missing (NaN)."""
    there = np.pad(np.isfinite(values), 1)
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()
