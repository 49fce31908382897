"""What picked pixels and regions share: their colours, and where they are in the pixels of an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_drcr.widgets.viewer.placement import unit_factor

if TYPE_CHECKING:
    from napari.layers import Image, Layer

# Each is the candidate farthest, in Oklab, from those before it, the nearest of four views counted: as it is, and with protan,
# deutan and tritan vision after Machado et al. 2009. None is too dark for a dark plot, or too bright for a white one.
PALETTE = ("#d25a00", "#005aff", "#1ec3c3", "#c30fa5", "#a587ff", "#c3b400", "#009669", "#f09687", "#ff3c87", "#6996c3")
"""Colours of curves and of what they belong to in the image, those first that are most unlike."""


def hex_colours(colours: npt.NDArray[Any]) -> list[str]:
    """Colours of a layer, shape (n, 4), as ``"#0078b4"`` and so on; the opacity is left out."""
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in np.rint(255 * colours[:, :3]).astype(int)]


def free_colour(taken: Iterable[str], palette: tuple[str, ...] = PALETTE) -> str:
    """The colour for one more curve: the first of those in the palette that are taken least often."""
    taken = list(taken)
    return min(palette, key=taken.count)


def pixels_of(layer: Layer, points: npt.ArrayLike, host: Image) -> npt.NDArray[np.float64]:
    """Points of a layer, shape (n, axes), the last two of which count, as rows and columns of an image or cube, shape (n, 2).

    They have fractions, and stay where they are on the canvas.
    """
    factors = [unit_factor(own, other) for own, other in zip(layer.units[-2:], host.units[-2:], strict=True)]

    def pixel(y: float, x: float) -> npt.NDArray[np.float64]:
        # napari takes the last axes of what is too long, and fills up what is too short with zeros in front.
        world = np.asarray(layer.data_to_world((y, x)))[-2:]
        return np.asarray(host.world_to_data(world * factors))[-2:]

    origin = pixel(0, 0)
    pixels: npt.NDArray[np.float64] = origin + np.asarray(points)[:, -2:] @ np.stack(
        [pixel(1, 0) - origin, pixel(0, 1) - origin]
    )
    return pixels
