"""Parts of images."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[int, int, int, int]
"""Top, left, bottom, right, the last two excluded."""


@dataclass(frozen=True)
class Region:
    """A part of an image, in pixels.

    Attributes
    ----------
    top, left, bottom, right : int
        The last two excluded.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def y(self) -> slice:
        """Its rows."""
        return slice(self.top, self.bottom)

    @property
    def x(self) -> slice:
        """Its columns."""
        return slice(self.left, self.right)

    def grown(self, pixels: int, height: int, width: int) -> Region:
        """With so many pixels more on each side, as far as the image goes."""
        return Region(
            max(self.top - pixels, 0),
            max(self.left - pixels, 0),
            min(self.bottom + pixels, height),
            min(self.right + pixels, width),
        )

    def aligned(self, grid: int) -> Region:
        """Grown to the lines of a grid."""
        return Region(
            self.top // grid * grid, self.left // grid * grid, -(-self.bottom // grid) * grid, -(-self.right // grid) * grid
        )

    def over(self, scale: int) -> Region:
        """In pixels of a map, each of which stands for `scale` pixels of the image in each direction."""
        return Region(self.top // scale, self.left // scale, self.bottom // scale, self.right // scale)

    def inside(self, other: Region) -> tuple[slice, slice]:
        """Where it lies in a larger one."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


def tile_regions(height: int, width: int, side: int, grid: int) -> list[Region]:
    """Cut an image into tiles of about equal size.

    Parameters
    ----------
    height, width : int
        Of the image.
    side : int
        Of a tile at most, but for the grid.
    grid : int
        What their borders are multiples of.

    Returns
    -------
    list of Region
        Row by row.
    """

    def spans(length: int) -> list[tuple[int, int]]:
        step = -(-length // -(-length // side))
        step = -(-step // grid) * grid
        return [(start, min(start + step, length)) for start in range(0, length, step)]

    return [Region(top, left, bottom, right) for top, bottom in spans(height) for left, right in spans(width)]
