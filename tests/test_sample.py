"""The synthetic pair: exact, reproducible, and laid out the same way at every size."""

from __future__ import annotations

import colour
import numpy as np
import pytest

from napari_drcr.camera.sample import marked_pixels, synthetic_pair, synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS, check_cube
from napari_drcr.cubes.rendering import render_srgb
from napari_drcr.errors import InputError


def test_the_scene_is_a_reflectance_cube() -> None:
    scene = check_cube(synthetic_scene())
    assert scene.shape == (31, 240, 320)
    assert scene.dtype == np.float32
    assert tuple(scene["wavelength"].values) == WAVELENGTHS
    assert scene.attrs["quantity"] == "reflectance"
    assert scene.name == "synthetic still life"


@pytest.mark.parametrize("seed", [0, 1])
def test_values_stay_in_range_and_mostly_above_the_floor(seed: int) -> None:
    values = synthetic_scene(seed=seed).values
    assert values.min() > 0.005
    assert values.max() < 1
    assert np.mean(values >= 0.01) > 0.99
    assert np.mean(values > 0.5) > 0.02


def test_the_same_seed_gives_the_same_scene_and_another_gives_other_textures() -> None:
    scene = synthetic_scene(48, 64)
    assert scene.identical(synthetic_scene(48, 64))
    assert not scene.equals(synthetic_scene(48, 64, seed=1))


def test_a_patch_of_the_chart_is_the_published_spectrum_in_the_shade() -> None:
    scene = synthetic_scene()
    chart = colour.SDS_COLOURCHECKERS["ColorChecker N Ohta"]
    for name in ("yellow", "cyan"):
        y, x = marked_pixels()[f"{name} patch"]
        published = [chart[name][nm] for nm in WAVELENGTHS]
        shading = scene[:, y, x].values / published
        assert 0.3 < shading.mean() < 1.1
        np.testing.assert_allclose(shading, shading.mean(), rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (120, 160), (100, 200), (200, 90)])
def test_marked_pixels_follow_the_layout_to_any_size(height: int, width: int) -> None:
    rendered = render_srgb(synthetic_scene(height, width))
    reference = render_srgb(synthetic_scene())
    for name, (y, x) in marked_pixels(height, width).items():
        seen, meant = rendered[y, x], reference[marked_pixels()[name]]
        np.testing.assert_allclose(seen, meant, atol=0.12, err_msg=name)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 200), (200, 16)])
def test_every_shape_is_filled(height: int, width: int) -> None:
    scene = synthetic_scene(height, width)
    assert np.isfinite(scene).all()
    assert scene.min() > 0.005


def test_the_pair_is_the_scene_and_its_photo() -> None:
    rgb, cube = synthetic_pair(90, 120)
    assert rgb.shape == (90, 120, 3)
    assert rgb.dtype == np.uint8
    assert cube.identical(synthetic_scene(90, 120))
    # JPEG blurs colour, but not much.
    assert np.abs(rgb / 255 - render_srgb(cube)).mean() < 0.02


def test_a_scene_too_small_to_show_anything_is_refused() -> None:
    with pytest.raises(InputError, match="at least 16 x 16 pixels, not 8 x 320"):
        synthetic_scene(8, 320)
