"""The photo camera."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera import CAMERAS, find_camera
from napari_drcr.colorimetry import decode_srgb, encode_srgb
from napari_drcr.cube import WAVELENGTHS

PHOTO = CAMERAS["photo"].with_settings(jpeg_quality=None)


def gray(value: float, side: int = 64) -> nd.Camera:
    return nd.make_cube(np.full((31, side, side), value), WAVELENGTHS, quantity="reflectance")


def test_white_renders_to_white() -> None:
    assert np.all(CAMERAS["photo"].render(gray(1)) == 255)


def test_gray_renders_to_its_srgb_value() -> None:
    assert np.all(PHOTO.render(gray(0.18)) == round(255 * float(encode_srgb(np.array(0.18)))))


def test_exposure_acts_before_clipping() -> None:
    assert np.all(PHOTO.with_settings(exposure=2).render(gray(0.8)) == 255)
    assert np.all(PHOTO.with_settings(exposure=2).render(gray(0.09)) == PHOTO.render(gray(0.18)))


def test_noise_has_the_variance_of_photons_and_readout() -> None:
    camera = PHOTO.with_settings(photo_electrons=2000, read_noise=10)
    linear = decode_srgb(camera.render(gray(0.25, 256), seed=1) / 255.0)
    assert linear.mean() == pytest.approx(0.25, rel=0.01)
    expected = 0.25 / 2000 + (10 / 2000) ** 2
    assert linear.var() == pytest.approx(expected, rel=0.05)


def test_the_seed_makes_the_noise() -> None:
    camera = PHOTO.with_settings(photo_electrons=500)
    assert np.array_equal(camera.render(gray(0.3), seed=3), camera.render(gray(0.3), seed=3))
    assert not np.array_equal(camera.render(gray(0.3), seed=3), camera.render(gray(0.3), seed=4))


def test_jpeg_changes_texture_and_keeps_the_size() -> None:
    random = np.random.default_rng(0)
    cube = nd.make_cube(random.uniform(0, 1, (31, 37, 53)), WAVELENGTHS, quantity="reflectance")
    plain, compressed = PHOTO.render(cube), PHOTO.with_settings(jpeg_quality=50).render(cube)
    assert compressed.shape == (37, 53, 3)
    assert not np.array_equal(plain, compressed)


def test_an_unknown_quantity_is_announced() -> None:
    with pytest.warns(nd.Notice, match="takes it as reflectance"):
        PHOTO.render(nd.make_cube(np.ones((31, 8, 8)), WAVELENGTHS))


def test_srgb_encoding_is_undone() -> None:
    values = np.linspace(0, 1, 256)
    np.testing.assert_allclose(decode_srgb(encode_srgb(values)), values, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"exposure": 0}, "exposure must be a positive"),
        ({"photo_electrons": -5}, "photo_electrons must be positive"),
        ({"read_noise": 3.0}, "needs photo_electrons"),
        ({"jpeg_quality": 101}, "1-100"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        PHOTO.with_settings(**settings)


def test_an_unknown_camera_is_refused() -> None:
    with pytest.raises(nd.InputError, match="no camera 'leica'"):
        find_camera("leica")


@pytest.mark.parametrize("quality", [None, 75])
def test_a_photograph_is_the_rendered_image_as_a_file(quality: int | None) -> None:
    random = np.random.default_rng(0)
    cube = nd.make_cube(random.uniform(0, 1, (31, 37, 53)), WAVELENGTHS, quantity="reflectance")
    camera = PHOTO.with_settings(jpeg_quality=quality, photo_electrons=1000)
    with Image.open(io.BytesIO(camera.photograph(cube, seed=5))) as photograph:
        assert photograph.format == ("PNG" if quality is None else "JPEG")
        assert np.array_equal(np.asarray(photograph), camera.render(cube, seed=5))
