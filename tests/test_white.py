"""A white patch: the cast and the exposure of a photo, taken out again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import napari_drcr as nd
from napari_drcr.cubes.colorimetry import decode_srgb, encode_srgb
from napari_drcr.inference.preparation import measure_white

SMALL = Path(__file__).parent / "reference" / "official_layout_small.pth"
BOX = (2, 3, 4, 6)
LINEAR = nd.load_model("linear")
STRETCHED = replace(LINEAR, card=LINEAR.card.model_copy(update={"name": "stretched", "normalisation": "range"}))


@pytest.fixture
def linear() -> np.ndarray:
    """Linear light, with something white at `BOX`."""
    image = np.random.default_rng(0).uniform(0.05, 0.6, (21, 34, 3))
    image[2:4, 3:6] = 1
    return image


def cast(linear: np.ndarray) -> np.ndarray:
    """The same in dim yellow light, as floating sRGB."""
    return np.asarray(encode_srgb(linear * (0.8, 0.6, 0.3)), dtype=np.float64)


@pytest.mark.parametrize("model", ["photo", "linear", "polynomial"])
def test_cast_and_exposure_are_taken_out(linear: np.ndarray, model: str) -> None:
    found = nd.reconstruct(cast(linear), model, white=BOX, precision="fp32")
    np.testing.assert_allclose(found, nd.reconstruct(linear, model, encoding="linear", precision="fp32"), atol=1e-3)
    assert found.attrs["white"] == list(BOX)
    assert found.attrs["white_gains"] == pytest.approx([1 / 0.8, 1 / 0.6, 1 / 0.3], rel=1e-3)


def test_linear_values_are_scaled_as_they_are(linear: np.ndarray) -> None:
    found = nd.reconstruct(linear * 0.5, "linear", encoding="linear", white=BOX)
    assert found.attrs["white_gains"] == pytest.approx([2, 2, 2])
    np.testing.assert_allclose(found, nd.reconstruct(linear, "linear", encoding="linear"), atol=1e-5)


def test_what_is_brighter_than_the_patch_is_not_clipped() -> None:
    image = np.full((16, 16, 3), 0.2)
    image[0, 0] = 0.8
    cube = nd.reconstruct(image, "linear", encoding="linear", white=(8, 8, 16, 16))
    np.testing.assert_allclose(cube[:, 0, 0], 4 * cube[:, 8, 8], rtol=1e-4)


def test_files_are_counted_upright_and_keep_box_and_gains(linear: np.ndarray, tmp_path: Path) -> None:
    pixels = np.round(cast(linear) * 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(tmp_path / "photo.png", exif=exif)
    cube = nd.reconstruct(tmp_path / "photo.png", "linear", white=BOX)
    np.testing.assert_array_equal(cube, nd.reconstruct(pixels, "linear", white=BOX))
    nd.write_cube(tmp_path / "cube.mat", cube)
    assert nd.read_cube(tmp_path / "cube.mat").attrs["white_gains"] == cube.attrs["white_gains"]


def test_without_a_patch_nothing_is_scaled(linear: np.ndarray) -> None:
    attrs = nd.reconstruct(cast(linear), "linear").attrs
    assert attrs["white"] is None
    assert attrs["white_gains"] is None


def test_gains_can_be_measured_without_reconstructing(linear: np.ndarray) -> None:
    pixels = np.round(cast(linear) * 255).astype(np.uint8)
    gains = measure_white(pixels, BOX)
    assert gains == pytest.approx(nd.reconstruct(pixels, "linear", white=BOX).attrs["white_gains"])
    assert gains == pytest.approx(1 / decode_srgb(pixels[2:4, 3:6] / 255).mean(axis=(0, 1)), rel=1e-5)


@pytest.mark.parametrize(
    ("white", "settings", "sentence"),
    [
        ((2, 3, 2, 9), {}, "white patch 2,3,2,9 is empty"),
        ((2, 9, 8, 3), {}, "is empty"),
        ((2, 3, 22, 9), {}, "2,3,22,9 reaches beyond the image of 21 x 34 pixels"),
        ((-2, 3, 8, 9), {}, "reaches beyond the image"),
        ((2, 3, 8), {}, r"four whole numbers, .* not \(2, 3, 8\)"),
        ((2, 3, 8, 9.5), {}, "four whole numbers"),
        (("a", 3, 8, 9), {}, "four whole numbers"),
        (5, {}, "four whole numbers"),
        ((10, 0, 14, 4), {}, "25% of the white patch's pixels are clipped"),
        ((15, 0, 20, 5), {}, r"too dark: its blue is 0\.010 of white"),
        (BOX, {"model": SMALL, "encoding": "linear"}, "official_layout_small divides each image by its own maximum"),
        (BOX, {"model": STRETCHED}, "stretched stretches each image from its own minimum to its own maximum"),
        (BOX, {"divisor": 0.5}, r"a divisor \(0\.5\); give one of them only"),
    ],
)
def test_unfit_patches_are_refused_in_a_sentence(white: object, settings: dict[str, object], sentence: str) -> None:
    image = np.full((21, 34, 3), 0.5)
    image[10, 0:4, 1] = 1
    image[15:20, 0:5, 2] = 0.0101
    settings = {"model": "linear", "encoding": "linear"} | settings
    with pytest.raises(nd.InputError, match=sentence):
        nd.reconstruct(image, white=white, **settings)  # type: ignore[arg-type]
