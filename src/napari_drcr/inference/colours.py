"""The photo's own colours: the smallest smooth change of an estimate after which its camera sees the photo in it again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.camera import CAMERAS
from napari_drcr.errors import InputError
from napari_drcr.inference.preparation import ADAPTIVE, BYTES, PreparedImage
from napari_drcr.models.store import Card

SMOOTHNESS = 50.0
"""Standard deviation in nm of the kernel that a change is smooth by."""
NEGLIGIBLE = 1e-3
"""Eigenvalues of that kernel, relative to the largest, below which a change has none of their shape."""
DARK = 1e-4
"""Value, relative to white, from which on downwards all values may change alike."""
ROUNDS = 4
"""How often a pixel is corrected at most, values below 0 being raised to 0 each time."""
TOLERANCE = 1e-6
"""Difference in linear light, relative to white, that is none."""
AT_WHITE = 1 - 1e-5
"""Share of white from which on a channel is clipped; less than one of 65,536 levels below white."""
PIXELS_AT_ONCE = 2**15
"""Pixels that are corrected between two steps."""

COLOUR_MEANING = (
    "Changes the estimate as little and as smoothly as possible, so that its camera sees the exact colours of the photo in it. Noise and JPEG artefacts "
    "of the photo go into the cube: the relative error of the model photo grows by 4 % at JPEG quality 90 and by 18 % in a noisy photo; without "
    "either it falls by 7 %."
)
"""What exact colours are and cost, for users."""

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExactColours:
    """What takes the colours of an image into its estimate.

    For each pixel with estimate c, camera response A and linear RGB p, the result is the c' with A^T c' = p that minimises

        (c' - c)^T D^-1 (c' - c),  D = W S W,  W = diag(sqrt(c)),

    where S is a Gaussian kernel over wavelengths, so that bright bands change more than dark ones, and neighbouring bands alike. Without clipping it is
    c' = c + D A (A^T D A)^-1 (p - A^T c).

    A channel at white, or at 0, was clipped there by the camera: its true value is unknown, and A^T c' is demanded to be at least white, or at most 0.
    Values below 0 are raised to 0 and the colours restored by changing the others, up to `ROUNDS` times. A small difference may remain where
    a channel is nearly 0; docs/models.md says how large it is on measured scenes.

    Parameters
    ----------
    response : ndarray, shape (bands, 3), float32
        A: linear RGB per unit of each band.
    shapes : ndarray, shape (bands, R), float32
        A factor of S: S = shapes @ shapes.T.
    white : ndarray, shape (3,), float32
        What a white pixel of the image is to the model, relative to 1.
    unit : float
        What the model takes for 1.
    """

    response: Float32Array
    shapes: Float32Array
    white: Float32Array
    unit: float = 1.0

    def of_image(self, image: PreparedImage) -> ExactColours:
        """The same for an image with its own white.

        Parameters
        ----------
        image : PreparedImage
            As the model takes it.

        Returns
        -------
        ExactColours
        """
        gains = np.ones(3) if image.gains is None else np.asarray(image.gains)
        return replace(self, white=(gains / image.divisor).astype(np.float32))

    def iter_correct(self, values: Float32Array, rgb: Float32Array) -> Generator[None, None, None]:
        """Correct an estimate in place, some rows at a time.

        Parameters
        ----------
        values : ndarray, shape (bands, y, x), float32
            The estimate; afterwards none of it is below 0.
        rgb : ndarray, shape (3, y, x), float32
            The image as the model took it, or the window of it.

        Yields
        ------
        None
            Every some rows.
        """
        height, width = rgb.shape[1:]
        rows = max(PIXELS_AT_ONCE // width, 1)
        for part in (np.s_[:, top : top + rows] for top in range(0, height, rows)):
            block = values[part].reshape(len(values), -1)
            values[part] = self._corrected(block, rgb[part].reshape(3, -1) / np.float32(self.unit)).reshape(values[part].shape)
            yield

    def _corrected(self, values: Float32Array, target: Float32Array) -> Float32Array:
        """(bands, pixels) whose colours are `target`."""
        # 1 demands at least the target, -1 at most, 0 the target itself.
        sides = (target >= self.white[:, None] * np.float32(AT_WHITE)).astype(np.int8) - (target <= 0)
        values = np.maximum(values, 0)
        lacking = target - self.response.T @ values
        wrong: Any = np.s_[:]
        for _ in range(ROUNDS):
            part = np.maximum(values[:, wrong] + self._change(values[:, wrong], lacking, sides[:, wrong]), 0)
            values[:, wrong] = part
            lacking = target[:, wrong] - self.response.T @ part
            still = (np.where(sides[:, wrong] == 0, np.abs(lacking), sides[:, wrong] * lacking) > TOLERANCE).any(axis=0)
            if not still.any():
                break
            lacking, wrong = lacking[:, still], np.arange(values.shape[1])[wrong][still]
        return values

    def _change(self, values: Float32Array, lacking: Float32Array, sides: npt.NDArray[np.int8]) -> Float32Array:
        """The smallest change (bands, pixels) that adds what the colours lack."""
        weights = np.sqrt(np.maximum(values, DARK))
        seen = (self.response.T[:, None] * self.shapes.T).reshape(-1, len(values)) @ weights
        seen = seen.reshape(3, -1, values.shape[1])
        gram = np.einsum("irn,jrn->ijn", seen, seen).astype(np.float64)
        multipliers = _multipliers(gram, lacking.astype(np.float64), sides).astype(np.float32)
        return np.asarray(weights * (self.shapes @ np.einsum("irn,in->rn", seen, multipliers)))


def exact_colours(card: Card) -> ExactColours:
    """What takes the colours of images into the estimates of a model.

    Parameters
    ----------
    card : Card
        Of the model: its camera must be a named one whose linear signal the model takes, and keep scale pixel by pixel.

    Returns
    -------
    ExactColours
        For images with white at 1; see `ExactColours.of_image`.

    Raises
    ------
    InputError
        If the card names no such camera, or the bands are too few.
    """
    refusal = "so its cubes cannot be given the photo's own colours; leave colour_exact out."
    if reason := _why_not(card):
        raise InputError(f"{card.name} {reason}, {refusal}")
    camera = CAMERAS[card.camera]
    nm = np.asarray(card.wavelengths)
    kernel = np.exp(-0.5 * np.square((nm[:, None] - nm) / SMOOTHNESS))
    eigenvalues, vectors = np.linalg.eigh(kernel)
    kept = eigenvalues > NEGLIGIBLE * eigenvalues[-1]
    response = camera.response(nm, card.quantity) * np.float32(camera.exposure)
    shapes = (vectors[:, kept] * np.sqrt(eigenvalues[kept])).astype(np.float32)
    if np.linalg.matrix_rank(response.T @ shapes) < 3:
        raise InputError(f"{card.name} has bands of {nm[0]:g}-{nm[-1]:g} nm, which do not mix all colours, {refusal}")
    return ExactColours(
        response=response,
        shapes=shapes,
        white=np.ones(3, dtype=np.float32),
        unit=BYTES if card.normalisation == "bytes" else 1.0,
    )


def _why_not(card: Card) -> str:
    """What a model does that hides how its camera would see a cube, if anything."""
    if not card.camera:
        return "names no camera on its card"
    if card.camera not in CAMERAS:
        return f"was trained for the camera {card.camera!r}, which is not one of {', '.join(CAMERAS)}"
    camera = CAMERAS[card.camera]
    if not camera.keeps_scale:
        return f"was trained for the camera {card.camera!r}, which sets its exposure by the whole scene"
    if camera.mosaic:
        return f"was trained for the camera {card.camera!r}, whose mosaic mixes neighbouring pixels"
    if card.normalisation in ADAPTIVE:
        return ADAPTIVE[card.normalisation]
    if card.encoding != "linear" and camera.encoding != "linear":
        return "takes an image's values as they are, which is not linear light"
    return ""


def _multipliers(gram: FloatArray, lacking: FloatArray, sides: npt.NDArray[np.int8]) -> FloatArray:
    """The Lagrange multipliers (3, pixels); those of a bound push to its side or are 0 (Karush-Kuhn-Tucker)."""
    multipliers = _solve(gram, lacking)
    one_sided = np.flatnonzero((sides * multipliers < 0).any(axis=0))
    if not one_sided.size:
        return multipliers
    gram, lacking, sides = gram[..., one_sided], lacking[:, one_sided], sides[:, one_sided]
    # The dual is concave: of all sets of active bounds whose multipliers are feasible, the one with the largest dual is the solution.
    best, dual = np.zeros_like(lacking), np.zeros(one_sided.size)
    for active in (list(chosen) for count in (1, 2, 3) for chosen in combinations(range(3), count)):
        demanded = np.zeros((3, 1))
        demanded[active] = 1
        alone = gram * (demanded * demanded.T)[..., None] + np.diag(1 - demanded[:, 0])[..., None]
        tried = _solve(alone, lacking * demanded)
        value = (tried * lacking).sum(axis=0)
        better = (sides * tried >= 0).all(axis=0) & (value > dual)
        best[:, better], dual[better] = tried[:, better], value[better]
    multipliers[:, one_sided] = best
    return multipliers


def _solve(gram: FloatArray, right: FloatArray) -> FloatArray:
    """Symmetric systems (3, 3, n) by their cofactors, which is many times faster than LAPACK for systems this small."""
    (a, b, c), (_, d, e), (_, _, f) = gram
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    x, y, z = right / (a * aa + b * bb + c * cc)
    return np.stack([aa * x + bb * y + cc * z, bb * x + dd * y + ee * z, cc * x + ee * y + ff * z])
