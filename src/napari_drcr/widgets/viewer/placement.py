"""How layers are placed in the world: over one another, on an axis in nm, in any units."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari.layers import Layer

EVEN_TOLERANCE = 0.02
"""How far, in band spacings, a band may be from an even grid before the axis shows band numbers instead of nm."""


def unit_factor(unit: Any, other: Any) -> float:
    """How many of another pint unit one unit is; 1 if they are of different kinds, since napari then shows the bare numbers."""
    if unit == other or not unit.is_compatible_with(other):
        return 1.0
    return float((1 * unit).to(other).magnitude)


def placement(source: Layer) -> dict[str, Any]:
    """Properties that place a two-dimensional layer exactly over another; of one with more axes the last two count."""
    return {
        "scale": source.scale[-2:],
        "translate": source.translate[-2:],
        "rotate": source.rotate[-2:, -2:],
        "shear": source.shear[-1:],
        "units": source.units[-2:],
        "affine": source.affine.affine_matrix[-3:, -3:],
    }


def tool_placement(source: Layer) -> dict[str, Any]:
    """Properties that place two-dimensional points or shapes exactly over another layer, such that napari's tools work on them.

    napari measures all lengths of a viewer in their smallest unit. Over an image in micrometers that has an axis in nm, its
    tools would put points of a layer in micrometers a thousand times too far away; so the new layer is in nm as well.
    """
    flat = placement(source)
    units = [_smallest(own, source.units) for own in flat["units"]]
    factors = np.array([unit_factor(own, smallest) for own, smallest in zip(flat["units"], units, strict=True)])
    affine = np.array(flat["affine"])
    affine[:2, 2] *= factors
    return flat | {"scale": flat["scale"] * factors, "translate": flat["translate"] * factors, "units": units, "affine": affine}


def _smallest(unit: Any, others: Iterable[Any]) -> Any:
    """The smallest unit of the same kind."""
    return min(others, key=lambda other: unit_factor(other, unit) if other.is_compatible_with(unit) else np.inf)


def band_axis(nm: npt.NDArray[np.float64]) -> tuple[float, float, str, str]:
    """Start, step, unit and label of the axis of bands (centres in nm): in nm where they are even, else their numbers."""
    step = float(nm[-1] - nm[0]) / (nm.size - 1) if nm.size > 1 else 1.0
    if np.allclose(nm, nm[0] + step * np.arange(nm.size), rtol=0, atol=EVEN_TOLERANCE * step):
        return float(nm[0]), step, "nm", "wavelength"
    return 0.0, 1.0, "pixel", "band"


def band_placement(source: Layer, nm: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Properties that place a layer of three axes over another, whose last two axes count; the first is that of bands in nm."""
    start, step, unit, _ = band_axis(nm)
    flat = placement(source)
    return {
        "scale": (step, *flat["scale"]),
        "translate": (start, *flat["translate"]),
        "units": (unit, *flat["units"]),
        "rotate": _with_band_axis(flat["rotate"]),
        "shear": (0.0, 0.0, *flat["shear"]),
        "affine": _with_band_axis(flat["affine"]),
    }


def _with_band_axis(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    grown = np.eye(len(matrix) + 1)
    grown[1:, 1:] = matrix
    return grown
