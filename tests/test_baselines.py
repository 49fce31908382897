"""The per-pixel maps."""

from __future__ import annotations

import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.models.pixel_map import FEATURES, fit_pixel_map


@pytest.mark.parametrize("kind", FEATURES)
def test_a_map_recovers_what_it_can_express(kind: str) -> None:
    random = np.random.default_rng(0)
    rgb = random.uniform(0.05, 1, (2000, 3)).astype(np.float32)
    matrix = random.uniform(0.1, 1, (len(FEATURES[kind](rgb)[0]), 31)).astype(np.float32)
    fitted = fit_pixel_map(kind, [(rgb, FEATURES[kind](rgb) @ matrix)])
    np.testing.assert_allclose(fitted.matrix, matrix, atol=1e-3)


@pytest.mark.parametrize("kind", FEATURES)
def test_maps_scale_with_exposure(kind: str) -> None:
    pixel_map = nd.load_model(kind).estimator
    rgb = np.random.default_rng(0).uniform(0, 0.5, (8, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(pixel_map.apply(2 * rgb), 2 * pixel_map.apply(rgb), rtol=1e-4, atol=1e-6)


def test_a_band_without_light_cannot_be_fitted() -> None:
    spectra = np.zeros((100, 31), np.float32)
    with pytest.raises(nd.InputError, match=r"band 0 has no value of at least 0\.01"):
        fit_pixel_map("linear", [(np.ones((100, 3), np.float32), spectra)])
    with pytest.raises(nd.InputError, match="no baseline 'cubic'"):
        fit_pixel_map("cubic", [])
