"""How far colours and textures of an image are from those that a model learned from, calibrated on images that it did not learn from."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import LUMINANCE
from napari_drcr.errors import InputError
from napari_drcr.system.steps import run_to_end

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

BLOCK = 32
"""Side of a block in pixels; the last of a row or column has from half to one and a half times as many."""
FEATURES = 7
"""Numbers that describe a block."""
DARKEST = 0.02
"""Added to linear values before their logarithm, white being 1: darker colours are mostly noise."""
FLATTEST = 0.005
"""Added to spreads before their logarithm."""
LEAST_SPREAD = 0.05
"""Smallest standard deviation that features are scaled by, for models that learned from nearly equal blocks."""
FEWEST = 100
"""Blocks that must have been learned from before anything is said."""
FAR = 0.9
"""Share of held-out blocks that are nearer than a block that is called unfamiliar."""
UNLIKE = 0.25
"""An image with no more unfamiliar blocks than this share is never called unlike those learned from."""
RARE = 0.9
"""Share of held-out images that are not called so, where that takes a higher limit."""
LEVELS = 101
"""Of the stored quantiles, from 0 to 1."""
PREFIX = "familiarity."

MEANING = (
    "Blocks of 32 x 32 pixels are compared in colour and texture with those that the model learned from: for each, the share of "
    "blocks of held-out images that were nearer to them. Above 0.9 a block is unfamiliar. The model's scores were measured on "
    "images of the kind that it learned from and do not hold there. It is no measure of error: an unfamiliar block can be "
    "estimated well and a familiar one badly, since materials and lights are not compared, and spectra with the same RGB "
    "(metamers) look the same."
)
"""What unfamiliarity is and is not, for users."""

Float64Array = npt.NDArray[np.float64]


def block_edges(length: int) -> npt.NDArray[np.intp]:
    """Where blocks begin and end along one axis.

    Parameters
    ----------
    length : int
        Of the axis in pixels, at least 2.

    Returns
    -------
    ndarray, shape (blocks + 1,)
        From 0 to `length`.

    Examples
    --------
    >>> block_edges(100).tolist(), block_edges(8).tolist()
    ([0, 32, 64, 100], [0, 8])
    """
    count = max((length + BLOCK // 2) // BLOCK, 1)
    return np.append(np.arange(count) * BLOCK, length)


def describe_blocks(image: npt.NDArray[Any]) -> Float64Array:
    """Colour and texture of the blocks of an image.

    Parameters
    ----------
    image : ndarray, shape (3, y, x)
        As a model takes it, white being 1.

    Returns
    -------
    ndarray, shape (rows, columns, 7)
        Natural logarithms: mean luminance; mean ratios of red to green and of blue to green; spread of luminance in the block and
        from pixel to pixel; the same of the two ratios together.
    """
    return run_to_end(iter_describe(image))


def iter_describe(image: npt.NDArray[Any], white: float = 1.0) -> Generator[None, None, Float64Array]:
    """`describe_blocks`, one row of blocks at a time.

    Parameters
    ----------
    image : ndarray
        As for `describe_blocks`.
    white : float
        What white is in it.

    Yields
    ------
    None
        After each row of blocks.

    Returns
    -------
    ndarray
        As for `describe_blocks`.
    """
    edges = block_edges(image.shape[1])
    found = []
    for top, bottom in pairwise(edges):
        found.append(_describe_row(image[:, top:bottom], white))
        yield
    return np.stack(found)


def _describe_row(image: npt.NDArray[Any], white: float) -> Float64Array:
    """One row of blocks: (columns, 7)."""
    edges = block_edges(image.shape[2])
    starts, widths = edges[:-1], np.diff(edges)
    height = image.shape[1]
    linear = np.maximum(image, 0, dtype=np.float32)
    if white != 1:
        linear /= np.float32(white)
    red, green, blue = np.log(linear + np.float32(DARKEST))
    light = np.log(np.tensordot(np.asarray(LUMINANCE, np.float32), linear, axes=(0, 0)) + np.float32(DARKEST))
    maps = np.stack([light, red - green, blue - green])

    def sums(values: npt.NDArray[np.float32]) -> Float64Array:
        return np.asarray(np.add.reduceat(values.sum(axis=1), starts, axis=1, dtype=np.float64))

    means = sums(maps) / (height * widths)
    maps -= np.repeat(means, widths, axis=1)[:, None].astype(np.float32)
    variances = sums(np.square(maps)) / (height * widths)
    across = np.square(np.diff(maps, axis=2))
    across[:, :, edges[1:-1] - 1] = 0  # from one block to the next, whose mean is another
    steps = sums(across) + sums(np.square(np.diff(maps, axis=1)))
    steps /= height * (widths - 1) + (height - 1) * widths
    spreads = [np.sqrt(part) for of in (variances, steps) for part in (of[0], of[1] + of[2])]
    return np.concatenate([means, np.log(np.stack(spreads) + FLATTEST)]).T


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Blocks that a model learned from, and how far those are that it did not learn from.

    Attributes
    ----------
    learned : ndarray, shape (n, 7), float16
        A sample of them; see `describe_blocks`.
    held_out : ndarray, shape (101,), float32
        Quantiles, from 0 to 1, of the distances of held-out blocks.
    limit : float
        Share of unfamiliar blocks above which an image is called unlike those learned from.
    """

    learned: npt.NDArray[np.float16]
    held_out: npt.NDArray[np.float32]
    limit: float

    def nearer(self, blocks: Float64Array) -> npt.NDArray[np.float32]:
        """Share of held-out blocks that are nearer to what was learned from.

        Parameters
        ----------
        blocks : ndarray, shape (..., 7)
            From `describe_blocks`.

        Returns
        -------
        ndarray, shape (...), float32
            0 to 1.
        """
        levels = np.linspace(0, 1, LEVELS)
        shares = np.interp(self._whitened.distances(blocks), self.held_out, levels)
        return np.asarray(shares, dtype=np.float32)

    @cached_property
    def _whitened(self) -> _Whitened:
        return _Whitened(self.learned)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What a model file stores.

        Returns
        -------
        dict of str to ndarray
            Names begin with `PREFIX`.
        """
        return {
            f"{PREFIX}learned": np.ascontiguousarray(self.learned),
            f"{PREFIX}held_out": np.ascontiguousarray(self.held_out),
            f"{PREFIX}limit": np.asarray([self.limit], dtype=np.float32),
        }


def read_familiarity(tensors: Mapping[str, npt.NDArray[Any]], name: str) -> Familiarity | None:
    """The statistics of a model file.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        All of the file.
    name : str
        Of the file, for errors.

    Returns
    -------
    Familiarity or None
        None where the file has none.

    Raises
    ------
    InputError
        If they are damaged.
    """
    found = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
    if not found:
        return None
    with np.errstate(over="ignore"):
        learned = np.asarray(found.get("learned", ()), dtype=np.float16)
        held_out, limit = (np.asarray(found.get(key, ()), dtype=np.float32) for key in ("held_out", "limit"))
    whole = learned.shape[1:] == (FEATURES,) and len(learned) >= FEWEST and held_out.shape == (LEVELS,) and limit.shape == (1,)
    finite = all(np.isfinite(value).all() for value in (learned, held_out, limit))
    if not (whole and finite) or (np.diff(held_out) < 0).any():
        raise InputError(f"{name} has damaged statistics of what it learned from; take another copy of the file.")
    return Familiarity(learned, held_out, float(limit[0]))


def calibrate(learned: npt.ArrayLike, held_out: Iterable[tuple[npt.ArrayLike, Sequence[npt.ArrayLike]]]) -> Familiarity | None:
    """Find out how far blocks are that were not learned from.

    Parameters
    ----------
    learned : array_like, shape (n, 7)
        Blocks that the model learned from; see `describe_blocks`.
    held_out : iterable of tuple
        Blocks learned from (m, 7), and those (..., 7) of each of some images that are not among them: a single pair for a model and its
        validation images, or one for each of several folds, learned from without other images.

    Returns
    -------
    Familiarity or None
        None where too little was learned from, or nothing was held back. An image is called unlike above the share of unfamiliar
        blocks that a tenth of the held-out images exceed, at least a quarter.
    """
    blocks = _as_stored(learned)
    if len(blocks) < FEWEST:
        return None
    distances: list[Float64Array] = []
    for those, images in held_out:
        known = _Whitened(_as_stored(those))
        distances += [known.distances(np.asarray(image)).ravel() for image in images]
    if not distances:
        return None
    levels = np.linspace(0, 1, LEVELS)
    quantiles = np.quantile(np.concatenate(distances), levels).astype(np.float32)
    shares = [float((each > np.interp(FAR, levels, quantiles)).mean()) for each in distances]
    return Familiarity(blocks, quantiles, max(UNLIKE, float(np.quantile(shares, RARE))))


def _as_stored(blocks: npt.ArrayLike) -> npt.NDArray[np.float16]:
    return np.asarray(blocks, dtype=np.float16).reshape(-1, FEATURES)


class _Whitened:
    """Blocks learned from, without the correlations between their features."""

    def __init__(self, learned: npt.NDArray[np.float16]) -> None:
        from scipy.spatial import cKDTree

        rows = learned.astype(np.float64)
        self.mean = rows.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(rows - self.mean, rowvar=False, bias=True))
        self.axes = axes / np.maximum(np.sqrt(np.maximum(variances, 0)), LEAST_SPREAD)
        self.tree: cKDTree = cKDTree((rows - self.mean) @ self.axes)

    def distances(self, blocks: Float64Array) -> Float64Array:
        """Distance of each block (..., 7) to the nearest one learned from, in standard deviations."""
        found: Float64Array = self.tree.query((blocks - self.mean) @ self.axes)[0]
        return found
