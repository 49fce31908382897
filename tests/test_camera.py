"""The cameras: the photo, those of the challenges, and those of response tables."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera import CAMERAS, find_camera
from napari_drcr.camera.pipeline import AUTOMATIC_MEAN
from napari_drcr.camera.responses import Response
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.colorimetry import daylight, decode_srgb, encode_srgb, srgb_response
from napari_drcr.cubes.cube import WAVELENGTHS

PHOTO = CAMERAS["photo"].with_settings(jpeg_quality=None)
CHALLENGES = ["ntire2022", "ntire2020-clean", "ntire2020-real"]
PLAIN = {"automatic_exposure": False, "photo_electrons": None, "read_noise": 0, "jpeg_quality": None}
LEVEL = 1 / 255
QUANTISATION = LEVEL**2 / 12


def gray(value: float, side: int = 64, quantity: str = "reflectance") -> xr.DataArray:
    return nd.make_cube(np.full((31, side, side), value), WAVELENGTHS, quantity=quantity)


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
        ({"exposure": float("inf")}, "exposure must be a positive"),
        ({"photo_electrons": 1e30}, "photo_electrons must be positive and at most"),
        ({"read_noise": float("nan")}, "read_noise must be 0 or more"),
        ({"jpeg_quality": 50.5}, "1-100"),
        ({"photo_electrons": -5}, "photo_electrons must be positive"),
        ({"read_noise": 3.0}, "needs photo_electrons"),
        ({"jpeg_quality": 101}, "1-100"),
        ({"encoding": "gamma"}, "encoding must be srgb or linear, not 'gamma'"),
        ({"illuminant": "candle"}, "illuminant must be None or D65, not 'candle'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
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


def test_the_photo_is_what_it_always_was() -> None:
    cube = synthetic_scene(40, 56)
    camera = CAMERAS["photo"].with_settings(exposure=1.3, photo_electrons=2000, read_noise=5, jpeg_quality=None)
    random = np.random.default_rng(7)
    response = srgb_response(WAVELENGTHS, illuminant="D65").astype(np.float32)
    signal = np.einsum("byx,bc->yxc", cube.values.astype(np.float32), response, optimize=True) * np.float32(1.3)
    electrons = random.poisson(np.maximum(signal, 0) * 2000).astype(np.float32)
    electrons += random.normal(0, 5, electrons.shape).astype(np.float32)
    expected = np.rint(encode_srgb(electrons / np.float32(2000)) * 255).astype(np.uint8)
    assert np.array_equal(camera.render(cube, seed=7), expected)


@pytest.mark.parametrize("brightness", [0.02, 0.4, 30])
def test_automatic_exposure_brings_any_scene_to_a_mean_of_18_percent(brightness: float) -> None:
    cube = gray(brightness, 128, "radiance")
    image = CAMERAS["ntire2022"].with_settings(jpeg_quality=None).render(cube)
    # Truncation takes half a level off the noisy values.
    assert image.mean() * LEVEL == pytest.approx(AUTOMATIC_MEAN - LEVEL / 2, abs=0.001)


def test_ntire2022_has_the_noise_of_750_photo_electrons_per_summed_signal() -> None:
    camera = CAMERAS["ntire2022"].with_settings(jpeg_quality=None)
    image = camera.render(gray(0.1, 256, "radiance"), seed=1) * LEVEL
    summed = 0.1 * camera.response(WAVELENGTHS, "radiance").sum(axis=0) * 8.6139307  # as the challenge sums bands
    gain = AUTOMATIC_MEAN / summed.mean()
    np.testing.assert_allclose(image.var(axis=(0, 1)), gain**2 * summed / 750 + QUANTISATION, rtol=0.04)


def test_less_light_under_automatic_exposure_is_more_noise() -> None:
    camera = CAMERAS["ntire2022"].with_settings(jpeg_quality=None)
    bright, dim = (camera.with_settings(exposure=light).render(gray(0.1, 256)) * LEVEL for light in (1, 0.25))
    assert dim.mean() == pytest.approx(bright.mean(), abs=0.001)
    noise = [image.var(axis=(0, 1)).mean() - QUANTISATION for image in (bright, dim)]
    assert noise[1] == pytest.approx(4 * noise[0], rel=0.03)


def test_ntire2020_real_has_5000_electrons_at_the_mean_of_green() -> None:
    camera = CAMERAS["ntire2020-real"].with_settings(jpeg_quality=None)
    image = camera.render(gray(0.3, 256), seed=1) * LEVEL
    assert image.mean() == pytest.approx(0.3, abs=0.001)
    seen = image[0::2, 1::2, 1]  # where the sensor sees green itself, before the others are filled in
    refined = (0.3 / 5000) ** 2 * (5000 + 100**2)
    assert 0.2 * refined < seen.var() < 1.1 * refined + QUANTISATION
    raw = camera.with_settings(mosaic=False).render(gray(0.3, 256), seed=1) * LEVEL
    assert raw.var() == pytest.approx(refined + QUANTISATION, rel=0.04)


@pytest.mark.parametrize("rounding", ["round", "truncate"])
def test_the_share_of_clipped_pixels_is_that_of_the_noise(rounding: str) -> None:
    camera = CAMERAS["ntire2020-clean"].with_settings(photo_electrons=10_000, rounding=rounding)
    clips_from = 1 if rounding == "truncate" else 1 - LEVEL / 2
    for signal in (0.99, 1.0, 1.01):
        image = camera.render(gray(signal, 256), seed=2)
        beyond = (clips_from - signal) / math.sqrt(signal / 10_000)
        assert (image == 255).mean() == pytest.approx(math.erfc(beyond / math.sqrt(2)) / 2, abs=0.01)


def test_highlights_clip_under_automatic_exposure() -> None:
    cube = gray(0.05, 100, "radiance")
    cube[:, :10] = 5.0
    image = CAMERAS["ntire2022"].with_settings(jpeg_quality=None).render(cube)
    assert (image == 255).mean() == pytest.approx(0.1)


@pytest.mark.parametrize("name", CHALLENGES)
def test_the_cameras_of_the_challenges_are_linear(name: str) -> None:
    camera = CAMERAS[name].with_settings(**PLAIN)
    assert np.all(camera.render(gray(1, quantity="radiance")) == 255)
    scene = synthetic_scene(64, 96)
    low, high = camera.render(scene * 0.5).astype(int), camera.render(scene).astype(int)
    assert np.abs(high - 2 * low)[high < 250].max() <= 2
    np.testing.assert_array_equal(camera.decode(camera.render(scene)), camera.render(scene) / np.float32(255))


def test_truncation_keeps_whole_levels() -> None:
    camera = CAMERAS["ntire2020-clean"].with_settings(rounding="truncate")
    levels = [int(camera.render(gray(level / 255, 4))[0, 0, 1]) for level in range(256)]
    assert levels == list(range(256))


def test_the_mosaic_of_a_constant_is_constant() -> None:
    camera = CAMERAS["ntire2020-real"].with_settings(**PLAIN)
    colour = gray(0.5, 33)
    colour[:15] *= 0.4  # bluish light is weaker: the three channels differ
    image = camera.render(colour)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(image, camera.with_settings(mosaic=False).render(colour))


def test_a_mosaic_blurs_colour_detail() -> None:
    camera, scene = CAMERAS["ntire2020-real"].with_settings(**PLAIN), synthetic_scene(64, 96)
    seen, true = camera.render(scene).astype(float), camera.with_settings(mosaic=False).render(scene).astype(float)
    assert 0 < np.abs(seen - true).mean() < 5
    assert np.array_equal(camera.render(scene), seen)


def test_a_crop_is_photographed_with_the_exposure_of_its_scene() -> None:
    scene = synthetic_scene(64, 96)
    camera = CAMERAS["ntire2022"].with_settings(photo_electrons=None, jpeg_quality=None)
    metered = camera.metered(camera.response(WAVELENGTHS, "reflectance").T @ scene.values.mean(axis=(1, 2)))
    crop = scene[:, 16:48, 32:64]
    assert np.abs(metered.render(crop).astype(int) - camera.render(scene)[16:48, 32:64]).max() <= 1
    assert np.abs(camera.render(crop).astype(int) - camera.render(scene)[16:48, 32:64]).max() > 1
    assert not camera.keeps_scale
    assert CAMERAS["photo"].metered([0.1, 0.2, 0.3]) is CAMERAS["photo"]


@pytest.mark.parametrize("name", ["ntire2022", "ntire2020-real"])
def test_a_black_scene_cannot_be_exposed(name: str) -> None:
    with pytest.raises(nd.InputError, match=f"black to camera '{name}'"):
        CAMERAS[name].render(gray(0))


def test_light_is_never_multiplied_onto_radiance(csv_camera: Path) -> None:
    light = daylight(np.asarray(WAVELENGTHS))
    lit = nd.make_cube(np.broadcast_to(0.5 * light[:, None, None], (31, 8, 8)), WAVELENGTHS, quantity="radiance")
    camera = find_camera(csv_camera)
    np.testing.assert_array_equal(camera.render(lit), camera.render(gray(0.5, 8)))
    bare = camera.with_settings(illuminant=None)
    np.testing.assert_array_equal(bare.render(lit), bare.render(lit.assign_attrs(quantity="reflectance")))
    np.testing.assert_array_equal(bare.render(lit), bare.render(lit.assign_attrs(quantity="unknown")))


@pytest.fixture
def csv_camera(tmp_path: Path) -> Path:
    path = tmp_path / "my camera.csv"
    nm = np.arange(390, 721, 5)
    curves = [peak * np.exp(-(((nm - centre) / 40) ** 2)) for peak, centre in ((0.3, 600), (0.9, 540), (0.5, 460))]
    lines = [",".join(map(str, row)) for row in np.stack([nm, *curves], axis=1)]
    path.write_text("\n".join(["# measured on a Tuesday", "Wavelength,R,G,B", *lines]), encoding="utf-8")
    return path


def test_a_table_of_responses_is_a_linear_camera_balanced_for_daylight(csv_camera: Path) -> None:
    camera = find_camera(str(csv_camera))
    assert (camera.name, camera.encoding, camera.suffix) == ("my camera", "linear", ".png")
    assert np.all(camera.render(gray(1)) == 255)
    assert np.all(camera.render(gray(0.2)) == 51)
    fine = nd.resample(synthetic_scene(16, 24), np.arange(400, 701, 4))
    difference = camera.render(fine).astype(int) - camera.render(synthetic_scene(16, 24))
    assert np.abs(difference).max() <= 3


def test_a_table_needs_no_header_and_columns_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("400,0,0,1\n550,0,1,0\n700,1,0,0\n", encoding="utf-8")
    (tmp_path / "mixed.csv").write_text(
        '"b","note","wavelength","g","r"\n1,x,400,0,0\n0,y,550,1,0\n0,z,700,0,1\n', encoding="utf-8"
    )
    bare, mixed = (find_camera(tmp_path / name).sensor for name in ("bare.csv", "mixed.csv"))
    assert isinstance(bare, Response)
    assert bare == replace(mixed, name="bare")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("wavelength,r,g\n400,1,1\n500,1,1", r"table\.csv has no column 'b' among wavelength, r, g"),
        ("400,1,1\n500,1,1", "has 3 columns and no header; it needs wavelength, r, g, b"),
        ("500,1,1,1\n400,1,1,1", "do not ascend: 400 follows 500"),
        ("400,1,1,1\n400,1,1,1", "do not ascend: 400 follows 400"),
        ("0.4,1,1,1\n0.7,1,1,1", "run 0.4-0.7, outside 300-1100; give them in nm"),
        ("400,1,1,1\n500,1,much,1", "line 2 of table.csv does not hold the four numbers"),
        ("400,1,1,1\n500,1,1", "line 2 of table.csv does not hold the four numbers"),
        ("400,1,1,1\n500,1,nan,1", "at least two rows of finite numbers"),
        ("400,1,1,1", "at least two rows of finite numbers, but has 1 rows"),
        ("# nothing\n", "is empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(nd.InputError, match=sentence):
        find_camera(path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match="there is no file"):
        find_camera(tmp_path / "missing.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(nd.InputError, match="not a text file"):
        find_camera(tmp_path / "image.csv")


def test_bands_that_a_sensor_does_not_see_are_told(csv_camera: Path) -> None:
    camera = find_camera(csv_camera)
    infrared = nd.make_cube(np.ones((3, 8, 8)), [800, 900, 1000], quantity="reflectance")
    with pytest.raises(nd.InputError, match=r"800-1000 nm have no overlap with the red response of 'my camera'.* 390-670 nm"):
        camera.render(infrared)
    part = nd.make_cube(np.ones((16, 8, 8)), range(450, 601, 10), quantity="reflectance")
    with pytest.warns(nd.Notice, match=r"450-600 nm miss part of what 'my camera' responds to"):
        assert np.all(camera.render(part) == 255)


def test_cubes_and_seeds_that_make_no_picture_are_refused() -> None:
    with pytest.raises(nd.InputError, match="holds 126976 values that are NaN"):
        PHOTO.render(gray(np.nan))
    with pytest.raises(nd.InputError, match="must be 0 or more, not -1"):
        PHOTO.render(gray(0.5), seed=-1)
