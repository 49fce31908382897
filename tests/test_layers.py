"""Cubes as napari layers, and back. No window is needed for this."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import xarray as xr
from napari.layers import Image, Labels, Layer

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError
from napari_drcr.widgets import check_napari
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, layer_to_cube
from napari_drcr.widgets.viewer.rgb_images import rgb_from_layer, rgb_layers

RGB = np.zeros((6, 8, 3), np.uint8)


def random_cube(wavelengths: object = WAVELENGTHS, **labels: object) -> xr.DataArray:
    """Build an oblong cube of noise: transposed axes would show."""
    nm = np.asarray(wavelengths, dtype=float)
    values = np.random.default_rng(0).random((nm.size, 6, 8), dtype=np.float32)
    return make_cube(values, nm, **labels)


def layer_of(cube: xr.DataArray, source: Image | None = None) -> Image:
    return Layer.create(*cube_to_layer_data(cube, source=source))


def units(layer: Layer) -> list[str]:
    return [f"{unit:~}" for unit in layer.units]


def test_first_axis_reads_in_nm() -> None:
    layer = layer_of(random_cube())
    assert layer.axis_labels == ("wavelength", "y", "x")
    assert units(layer) == ["nm", "pixel", "pixel"]
    assert layer.scale.tolist() == [10, 1, 1]
    assert layer.translate.tolist() == [400, 0, 0]
    assert layer.data_to_world((15, 0, 0))[0] == 550


def test_uneven_bands_get_an_axis_of_band_numbers_and_keep_their_wavelengths() -> None:
    wavelengths = [400, 420, 470, 500, 700]
    layer = layer_of(random_cube(wavelengths))
    assert layer.axis_labels == ("band", "y", "x")
    assert units(layer) == ["pixel", "pixel", "pixel"]
    assert layer.scale.tolist() == [1, 1, 1]
    assert layer.metadata["wavelengths"] == wavelengths
    assert layer_to_cube(layer)["wavelength"].values.tolist() == wavelengths


@pytest.mark.parametrize("wavelengths", [[633], [397.3, 400.2, 403.1, 406.05]], ids=["one band", "rounded to a tenth"])
def test_axis_in_nm_for_one_band_and_for_rounded_wavelengths(wavelengths: list[float]) -> None:
    layer = layer_of(random_cube(wavelengths))
    assert units(layer)[0] == "nm"
    assert layer.translate[0] == wavelengths[0]
    assert layer.metadata["wavelengths"] == wavelengths


def test_estimate_lies_over_its_source_however_that_is_placed() -> None:
    placed = {
        "scale": (0.5, 0.25),
        "translate": (3, 4),
        "rotate": 30,
        "shear": [0.2],
        "affine": [[2, 0, 1], [0, 1, 5], [0, 0, 1]],
    }
    source = Image(RGB, rgb=True, name="photo", units=("um", "um"), **placed)
    layer = layer_of(random_cube(attrs={"model": "linear"}), source)
    assert layer.scale.tolist() == [10, 0.5, 0.25]
    assert layer.translate.tolist() == [400, 3, 4]
    assert units(layer) == ["nm", "µm", "µm"]
    np.testing.assert_allclose(layer.data_to_world((3, 2, 7)), (430, *source.data_to_world((2, 7))))
    assert layer.name == "photo (linear estimate)"
    assert layer.metadata["napari_drcr"]["source_layer"] == "photo"


def test_cube_three_pixels_wide_is_not_taken_for_rgb() -> None:
    layer = layer_of(make_cube(np.ones((31, 5, 3), np.float32), WAVELENGTHS))
    assert not layer.rgb
    assert layer.ndim == 3


def test_contrast_begins_at_zero_and_ends_below_a_glint() -> None:
    cube = random_cube()
    cube[0, 0, 0], cube[1, 1, 1] = 1000, np.nan
    low, high = layer_of(cube).contrast_limits
    assert low == 0
    assert 0.9 < high < 1.1


def test_black_cube_can_be_shown() -> None:
    assert layer_of(random_cube() * 0).contrast_limits == [0, 1]


def test_round_trip_keeps_values_wavelengths_and_what_is_known() -> None:
    cube = random_cube(quantity="reflectance", scale=4095.0, illuminant="D65", name="scene", attrs={"model": "linear"})
    xr.testing.assert_identical(layer_to_cube(layer_of(cube)), cube)


def test_marks_of_clipped_pixels_travel_with_the_layer() -> None:
    clipped = np.zeros((6, 8), bool)
    clipped[2, 5] = True
    cube = random_cube(name="scene").assign_coords(clipped=(("y", "x"), clipped))
    layer = layer_of(cube)
    np.testing.assert_array_equal(layer.metadata["clipped"], clipped)
    xr.testing.assert_identical(layer_to_cube(layer), cube)
    layer.data = layer.data[:, :4]
    assert "clipped" not in layer_to_cube(layer).coords


def test_wavelengths_come_from_an_axis_in_nm_where_the_metadata_has_none() -> None:
    layer = Image(np.ones((3, 4, 5), np.uint16), scale=(25, 1, 1), translate=(450, 0, 0), units=("nm", "pixel", "pixel"))
    cube = layer_to_cube(layer)
    assert cube["wavelength"].values.tolist() == [450, 475, 500]
    assert cube.attrs["quantity"] == "unknown"
    assert cube.dtype == np.float32
    layer = Image(np.ones((3, 4, 5)), scale=(0.025, 1, 1), translate=(0.45, 0, 0), units=("um", "pixel", "pixel"))
    assert layer_to_cube(layer)["wavelength"].values == pytest.approx([450, 475, 500])


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (Image(np.ones((3, 4, 5)), name="stack"), "'stack' does not say which wavelengths its 3 bands have"),
        (Image(np.ones((3, 4, 5)), metadata={"wavelengths": [400, 500]}), "3 bands, but its metadata names 2 wavelengths"),
        (Image(np.ones((3, 4, 5)), metadata={"wavelengths": [400, 500, 450]}), "ascend"),
        (Image(np.ones((3, 4, 5)), metadata={"wavelengths": 5}), "its metadata names 1 wavelengths"),
        (Image(np.ones((3, 4, 5)), metadata={"wavelengths": list("abc")}), "must be numbers in nm"),
        (Image(np.ones((3, 4, 5)), metadata={"wavelengths": [1, 2, 3], "napari_drcr": "text"}), "are no dictionary"),
        (Image(RGB, rgb=True), "an RGB image, not a cube"),
        (Image(np.ones((4, 5))), "an image of 2 axes, not a cube"),
        (Labels(np.ones((3, 4, 5), int)), "of the kind Labels, not a cube"),
        (Image([np.ones((3, 8, 8)), np.ones((3, 4, 4))], multiscale=True), "is multiscale"),
    ],
    ids=["no wavelengths", "other count", "descending", "number", "letters", "text", "RGB", "two axes", "labels", "multiscale"],
)
def test_layers_that_are_no_cube_are_refused(layer: Layer, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        layer_to_cube(layer)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_rgb_comes_as_it_is(channels: int, dtype: type) -> None:
    values = np.ones((6, 8, channels), dtype)
    np.testing.assert_array_equal(rgb_from_layer(Image(values, rgb=True)), values, strict=True)


def test_rgb_comes_out_of_series_pyramids_and_images_with_channels_first() -> None:
    values = np.random.default_rng(0).integers(0, 255, (2, 5, 64, 48, 3), dtype=np.uint8)
    series = Image(dask.array.from_array(values), rgb=True, name="series")
    np.testing.assert_array_equal(rgb_from_layer(series, (1, 3)), values[1, 3], strict=True)
    pyramid = Image([values[0], values[0, :, ::2, ::2]], rgb=True, multiscale=True, name="pyramid")
    np.testing.assert_array_equal(rgb_from_layer(pyramid, (4,)), values[0, 4], strict=True)
    planes = Image(np.moveaxis(values[0, 0], -1, 0), name="planes")
    np.testing.assert_array_equal(rgb_from_layer(planes), values[0, 0], strict=True)
    for layer, index in ((series, (0, 0)), (pyramid, (0,)), (planes, ())):
        np.testing.assert_array_equal(rgb_from_layer(layer, index, box=(5, 6, 20, 30)), values[0, 0, 5:20, 6:30])
    assert rgb_layers([planes, Labels(np.ones((6, 8), int)), pyramid, layer_of(random_cube([450, 550, 650])), series]) == [
        ("pyramid", pyramid),
        ("series", series),
        ("planes (channels first)", planes),
    ]


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (
            Image(np.ones((6, 8)), name="gray"),
            "'gray' is grayscale .6 x 8., not an RGB image: select layers of red, green and blue",
        ),
        (Image(np.ones((31, 6, 8))), "is an array of 31 x 6 x 8, not an RGB image"),
        (Image(np.zeros((5, 6, 8, 3), np.uint8), rgb=True), "a series of RGB images .5 x 6 x 8 x 3.; say which"),
        (
            Image(np.zeros((6, 8, 3), np.uint8), rgb=False),
            "a stack .6 x 8 x 3., not an RGB image: if its last axis is red, green and blue",
        ),
        (layer_of(random_cube([450, 550, 650])), "is an array of 3 x 6 x 8, not an RGB image"),
        (Image(np.full((6, 8, 3), 200.0), rgb=True), "from 200 to 200; bring them into 0 to 1"),
        (Image(np.full((6, 8, 3), np.nan), rgb=True, contrast_limits=(0, 1)), "from nan to nan"),
        (Labels(np.ones((6, 8), int)), "of the kind Labels, not an RGB image"),
    ],
    ids=["gray", "cube", "series", "channels as pixels", "cube of three bands", "floats to 255", "NaN", "labels"],
)
def test_layers_that_are_no_rgb_image_are_refused(layer: Layer, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        rgb_from_layer(layer)


@pytest.mark.parametrize("found", ["0.8.9", "0.4.19"])
def test_old_napari_is_refused_in_one_sentence(found: str) -> None:
    with pytest.raises(ImportError, match=f"needs napari 0.9 or newer, but this is napari {found}"):
        check_napari(found)


@pytest.mark.parametrize("found", ["0.9.0rc1", "0.10.0", "1.0"])
def test_new_napari_is_taken(found: str) -> None:
    check_napari(found)
