"""Plausibility without ground truth: a cube seen through its camera again, beside the image that it came from."""

from __future__ import annotations

from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr

import napari_drcr as nd
from napari_drcr.analysis.plausibility import MEANING, assess_plausibility
from napari_drcr.camera import CAMERAS
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.cubes.colorimetry import encode_srgb

RGB, TRUTH = synthetic_pair(48, 64)
EXACT = CAMERAS["photo"].with_settings(jpeg_quality=None)


def linear_image(cube: xr.DataArray) -> np.ndarray:
    """What a linear camera without noise sees of a cube: floating values."""
    response = CAMERAS["photo"].response(cube["wavelength"].values, cube.attrs["quantity"])
    return np.maximum(np.einsum("byx,bc->yxc", cube.values, response), 0)


def like_truth(cube: xr.DataArray) -> xr.DataArray:
    """The cube with the attributes that arithmetic may have taken off."""
    return cube.assign_attrs(TRUTH.attrs)


def test_the_true_cube_gives_its_own_photo_back() -> None:
    found = assess_plausibility(TRUTH, EXACT.render(TRUTH))
    assert found.residual < 0.003  # what rounding to 8 bits leaves
    assert found.residuals.shape == (48, 64)
    assert found.assumption == "assumes CIE 1931 under D65"
    assert found.exposure == 1


def test_the_figure_is_the_root_mean_square_in_linear_light() -> None:
    muted = like_truth(TRUTH * 0.3 + 0.2)  # no colour of it lies outside sRGB
    found = assess_plausibility(like_truth(muted + 0.02), linear_image(muted), encoding="linear")
    np.testing.assert_allclose(found.residuals, 0.02, atol=1e-5)
    assert found.residual == pytest.approx(0.02, abs=1e-5)


def test_metamers_pass_and_the_meaning_says_so() -> None:
    response = CAMERAS["photo"].response(TRUTH["wavelength"].values, "reflectance")
    black = np.linalg.svd(response.T)[2][-1]  # a spectrum that the camera does not see
    metamer = TRUTH + black.astype(np.float32)[:, None, None]
    assert (
        assess_plausibility(like_truth(metamer * 0.5), linear_image(like_truth(TRUTH * 0.5)), encoding="linear").residual < 1e-4
    )
    assert nd.mrae(TRUTH, metamer, 0.01) > 0.1
    assert "metamers" in MEANING


def test_clipped_pixels_are_left_out_and_counted() -> None:
    image = EXACT.render(TRUTH).copy()
    image[:3] = 255
    with pytest.warns(nd.Notice, match="clipped"):
        found = assess_plausibility(TRUTH, image)
    assert np.isnan(found.residuals[:3]).all()
    assert found.clipped_share == pytest.approx(found.residuals.attrs["left_out"] / image[..., 0].size)
    assert found.clipped_share >= 3 / 48
    assert found.residual < 0.003


def test_a_reconstruction_says_itself_how_its_image_was_prepared(tmp_path: Path) -> None:
    linear = np.random.default_rng(0).uniform(0.05, 0.6, (21, 34, 3))
    linear[2:4, 3:6] = 0.8
    deep = np.round(encode_srgb(linear * (0.9, 0.7, 0.4)) * 1023).astype(np.uint16)
    cube = nd.reconstruct(deep, "linear", white_level=1023, white=(2, 3, 4, 6))
    found = assess_plausibility(cube, deep)
    assert found.residual < 0.15
    nd.write_cube(tmp_path / "cube.mat", cube)
    assert assess_plausibility(nd.read_cube(tmp_path / "cube.mat"), deep).residual == pytest.approx(found.residual, rel=1e-4)
    halved = nd.reconstruct(linear, "linear", encoding="linear", divisor=2)
    twice = nd.reconstruct(linear, "linear", encoding="linear")
    half, whole = assess_plausibility(halved, linear).residual, assess_plausibility(twice, linear).residual
    assert half == pytest.approx(whole / 2, rel=1e-4)


def test_radiance_is_not_lit_again_and_its_exposure_is_matched() -> None:
    lit = nd.relight(TRUTH, "A")
    image = linear_image(lit) * 0.25
    found = assess_plausibility(lit, image, encoding="linear")
    assert found.assumption == "assumes CIE 1931, its light being in the cube, exposure matched"
    assert found.exposure == pytest.approx(0.25, rel=1e-3)
    assert found.residual < 1e-4


def test_a_camera_can_be_given_or_named_in_the_cube() -> None:
    image = CAMERAS["ntire2022"].with_settings(photo_electrons=None, jpeg_quality=None).render(TRUTH)
    named = TRUTH.assign_attrs(camera="ntire2022", encoding="as given", input_profile="none")
    given = assess_plausibility(TRUTH, image, "ntire2022", encoding="linear")
    assert given.assumption == "camera ntire2022, exposure matched"
    assert given.residual < 0.005
    assert assess_plausibility(named, image).residual == given.residual


def test_a_lazy_cube_gives_the_same() -> None:
    lazy = nd.make_cube(
        dask.array.from_array(TRUTH.values, chunks=(1, 48, 64)), TRUTH["wavelength"].values, quantity="reflectance"
    )
    found, expected = assess_plausibility(lazy, RGB), assess_plausibility(TRUTH, RGB)
    np.testing.assert_allclose(found.residuals, expected.residuals, atol=1e-6)


def test_a_cube_that_does_not_say_what_it_holds_is_reflectance_aloud() -> None:
    with pytest.warns(nd.Notice, match="taken as reflectance and lit with D65"):
        assess_plausibility(TRUTH.assign_attrs(quantity="unknown"), RGB)


@pytest.mark.parametrize(
    ("cube", "image", "camera", "sentence"),
    [
        (TRUTH, RGB[:-1], None, "the cube has 48 x 64 pixels, the image 47 x 64"),
        (TRUTH, RGB, "kodak", "no camera 'kodak'"),
        (TRUTH.assign_attrs(camera="kodak"), RGB, None, "made for the camera 'kodak'"),
        (TRUTH.assign_attrs(white_level=255.0), RGB / 255, None, "white is 255, but the values of this float64 image end at 1"),
        (TRUTH.assign_attrs(white_level=4095.0), RGB, None, "white is 4095, but the values of this uint8 image end at 255"),
        (TRUTH.where(TRUTH > 0.5), RGB, None, "NaN or infinite in"),
        (TRUTH[:, 0], RGB, None, "dimensions"),
        (TRUTH, "no such photo.png", None, "no such photo.png"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    cube: xr.DataArray, image: np.ndarray, camera: str | None, sentence: str
) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        assess_plausibility(cube, image, camera)


@pytest.mark.filterwarnings("ignore::napari_drcr.Notice")
def test_nothing_is_left_of_an_image_that_is_clipped_everywhere() -> None:
    with pytest.raises(nd.InputError, match="every pixel of the image is clipped"):
        assess_plausibility(TRUTH, np.full_like(RGB, 255))


def test_the_shipped_models_name_their_camera() -> None:
    found = assess_plausibility(nd.reconstruct(RGB, "linear"), RGB)
    assert found.assumption == "camera photo"
    assert found.residual < 0.05
