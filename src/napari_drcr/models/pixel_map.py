"""The classical per-pixel maps from linear RGB to a spectrum: what a network must beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import InputError
from napari_drcr.models.architecture import Architecture, NetworkSettings

Float32Array = npt.NDArray[np.float32]


def linear_features(rgb: Float32Array) -> Float32Array:
    """R, G, B: (..., 3) to (..., 3)."""
    return rgb


def root_polynomial_features(rgb: Float32Array) -> Float32Array:
    """R, G, B and the roots of their products: (..., 3) to (..., 6).

    Finlayson, Mackiewicz and Hurlbert, "Color Correction Using Root-Polynomial Regression", IEEE Transactions on Image
    Processing 2015, second order. Unlike plain polynomials they scale with exposure.
    """
    r, g, b = np.moveaxis(np.maximum(rgb, 0), -1, 0)
    return np.stack([r, g, b, np.sqrt(r * g), np.sqrt(g * b), np.sqrt(r * b)], axis=-1)


FEATURES: dict[str, Callable[[Float32Array], Float32Array]] = {
    "linear": linear_features,
    "polynomial": root_polynomial_features,
}


@dataclass(frozen=True)
class PixelMap:
    """A table that turns features of one pixel's linear RGB into its spectrum.

    Parameters
    ----------
    kind : {"linear", "polynomial"}
        Which features.
    matrix : ndarray, shape (features, bands), float32
        ``features @ matrix`` is the spectrum.
    """

    kind: str
    matrix: Float32Array

    @property
    def bands(self) -> int:
        """Bands of the spectrum."""
        return int(self.matrix.shape[1])

    def apply(self, rgb: Float32Array) -> Float32Array:
        """Estimate a cube.

        Parameters
        ----------
        rgb : ndarray, shape (y, x, 3), float32
            Linear RGB, 1 is white.

        Returns
        -------
        ndarray, shape (bands, y, x), float32
            Not clipped.
        """
        return np.moveaxis(FEATURES[self.kind](rgb) @ self.matrix, -1, 0).astype(np.float32)


class PixelMapSettings(NetworkSettings):
    """Which features a `PixelMap` takes."""

    architecture: Literal["pixel_map"] = "pixel_map"
    kind: Literal["linear", "polynomial"] = "polynomial"
    """R, G, B as they are, or also the roots of their products."""

    def summary(self) -> str:
        """Such as "polynomial"."""
        return self.kind


class PixelMaps(Architecture):
    """Per-pixel maps: fitted in closed form, computed without torch."""

    id = "pixel_map"
    title = "per-pixel map"
    paper = (
        "Finlayson, Mackiewicz and Hurlbert, Color Correction Using Root-Polynomial Regression, IEEE Transactions on Image "
        "Processing 2015"
    )
    settings = PixelMapSettings
    per_pixel = True
    trainable = False

    def build(self, settings: PixelMapSettings, bands: int) -> PixelMap:
        """A map to nothing; `fit_pixel_map` makes others."""
        features = FEATURES[settings.kind](np.zeros((1, 3), np.float32)).shape[-1]
        return PixelMap(settings.kind, np.zeros((features, bands), np.float32))

    def context(self, settings: PixelMapSettings) -> int:
        """0: a pixel and nothing around it."""
        return 0

    def load(self, path: Path, settings: PixelMapSettings, bands: int, state: Mapping[str, Any]) -> PixelMap:
        """See `Architecture.load`; the one parameter is ``matrix``, shape (features, bands)."""
        expected = self.build(settings, bands).matrix.shape
        matrix = state.get("matrix")
        if matrix is None or matrix.shape != expected:
            found = "none" if matrix is None else "x".join(map(str, matrix.shape)) or "a single number"
            raise InputError(
                f"{path.name}: the {settings.kind} map needs a matrix of {expected[0]}x{expected[1]}, found {found}."
            )
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float32)
        if not np.isfinite(matrix).all():
            raise InputError(f"{path.name}: matrix holds values that are not finite; take another checkpoint.")
        return PixelMap(settings.kind, matrix)

    def parameters(self, network: PixelMap) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """See `Architecture.parameters`."""
        return {"matrix": network.matrix}

    def count(self, network: PixelMap) -> int:
        """See `Architecture.count`."""
        return network.matrix.size


def fit_pixel_map(
    kind: str, pairs: Iterable[tuple[Float32Array, Float32Array]], *, floor: float = 0.01, iterations: int = 20
) -> PixelMap:
    """Fit a map to the mean relative absolute error, band by band.

    Parameters
    ----------
    kind : {"linear", "polynomial"}
        Which features.
    pairs : iterable of (rgb, spectra)
        Linear RGB (n, 3) and true spectra (n, bands).
    floor : float
        Entries with a true value below it do not count, as in MRAE@floor.
    iterations : int
        Of iteratively re-weighted least squares (Schlossmacher 1973): the first minimises the squared relative error, the
        others approach the absolute one.

    Returns
    -------
    PixelMap

    Raises
    ------
    InputError
        If `kind` is unknown or no entry reaches the floor in some band.
    """
    if kind not in FEATURES:
        raise InputError(f"there is no baseline {kind!r}; there is {', '.join(FEATURES)}.")
    samples = list(pairs)
    features = np.concatenate([FEATURES[kind](rgb) for rgb, _ in samples]).astype(np.float64)
    spectra = np.concatenate([spectrum for _, spectrum in samples])
    columns = []
    for band in range(spectra.shape[1]):
        counted = spectra[:, band] >= floor
        if not counted.any():
            raise InputError(f"band {band} has no value of at least {floor} to fit the {kind} map to.")
        # In relative terms every sample's target is 1.
        relative = features[counted] / spectra[counted, band, None]
        weights = np.ones(len(relative))
        for _ in range(iterations):
            weighted = relative * weights[:, None]
            column = np.linalg.solve(weighted.T @ relative, weighted.sum(axis=0))
            weights = 1 / np.maximum(np.abs(relative @ column - 1), 1e-3)
        columns.append(column)
    return PixelMap(kind, np.stack(columns, axis=1).astype(np.float32))
