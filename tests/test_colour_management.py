"""Colour profiles, from file to cube: made for the purpose, written and read as phones, cameras and napari do."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import colour
import napari
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.colorimetry import decode_srgb, encode_srgb, srgb_response
from napari_drcr.errors import Notice
from napari_drcr.io import read_rgb
from napari_drcr.widgets.viewer.rgb_images import profile_of_layer, rgb_from_layer

MakeViewer = Callable[..., napari.Viewer]

QUARTER_CLOCKWISE = 6
CONVERTED = r"its colour profile \(Display P3\) was converted to sRGB"


def make_profile(name: str, space: str, curve: bytes) -> bytes:
    """Write a display profile of the simplest kind, ICC.1:2001: three primaries and a curve."""
    d50 = colour.xy_to_XYZ(colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D50"])
    primaries = colour.RGB_COLOURSPACES[space]
    white = colour.xy_to_XYZ(primaries.whitepoint)
    adaptation = colour.adaptation.matrix_chromatic_adaptation_VonKries(white, d50, transform="Bradford")
    columns = (adaptation @ primaries.matrix_RGB_to_XYZ).T

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *np.round(np.asarray(values) * 65536).astype(int))

    ascii_name = name.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(ascii_name)) + ascii_name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(white),
        **{key: xyz(column) for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        table += key + struct.pack(">II", offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = offset + len(data)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", *np.round(d50 * 65536).astype(int))
    return header.ljust(128, b"\0") + table + data


def table_curve(decode: Callable[[np.ndarray], np.ndarray]) -> bytes:
    values = np.round(decode(np.linspace(0, 1, 4096)) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", values.size) + values.tobytes()


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DISPLAY_P3 = make_profile("Display P3", "Display P3", table_curve(decode_srgb))
ADOBE_RGB = make_profile("Adobe RGB (1998)", "Adobe RGB (1998)", gamma_curve(563 / 256))
LINEAR = make_profile("Linear sRGB", "sRGB", gamma_curve(1))


def in_display_p3(linear_srgb: np.ndarray) -> np.ndarray:
    to_p3 = colour.matrix_RGB_to_RGB("sRGB", "Display P3")
    return encode_srgb(linear_srgb @ to_p3.T)


def eight_bits(encoded: np.ndarray) -> np.ndarray:
    return np.round(encoded * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """The synthetic scene in linear sRGB, unrounded and short of clipping: (48, 64, 3)."""
    cube = synthetic_scene(48, 64)
    linear = np.einsum("byx,bc->yxc", cube.values.astype(float), srgb_response(cube["wavelength"].values))
    return np.clip(linear, 0, 1) * 0.95


def save(path: Path, pixels: np.ndarray, profile: bytes | None = None, orientation: int = 1) -> Path:
    if path.suffix == ".tif":
        turn = [(0x0112, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric="rgb", iccprofile=profile, extratags=turn)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}
        Image.fromarray(pixels).save(path, icc_profile=profile, exif=exif, **options)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_a_phones_photo_and_its_srgb_twin_give_the_same_cube(
    tmp_path: Path, scene: np.ndarray, suffix: str, model: str
) -> None:
    held_sideways = np.rot90(eight_bits(in_display_p3(scene)))
    phone = save(tmp_path / f"phone.{suffix}", held_sideways, DISPLAY_P3, QUARTER_CLOCKWISE)
    twin = save(tmp_path / f"twin.{suffix}", eight_bits(encode_srgb(scene)))
    exact = nd.reconstruct(encode_srgb(scene), model)
    of_twin = nd.reconstruct(twin, model)
    with pytest.warns(Notice, match=f"^phone.{suffix}: {CONVERTED}"):
        of_phone = nd.reconstruct(phone, model)
    assert of_phone.shape == of_twin.shape
    rounding = abs(of_twin - exact)
    # In its own, wider colours the phone rounds a little more coarsely than sRGB does; nothing else is lost.
    assert abs(of_phone - exact).mean() < 1.5 * rounding.mean()
    assert abs(of_phone - exact).max() < 2 * rounding.max()
    assert abs(of_phone - of_twin).max() < 0.03
    assert of_phone.attrs["input_profile"] == "Display P3, converted"
    assert of_twin.attrs["input_profile"] == "sRGB (assumed)"
    unconverted = nd.reconstruct(np.rot90(held_sideways, -1), model)
    assert abs(unconverted - exact).mean() > 3 * rounding.mean()


@pytest.mark.parametrize(
    ("profile", "space", "decode"),
    [(DISPLAY_P3, "Display P3", decode_srgb), (ADOBE_RGB, "Adobe RGB (1998)", lambda values: values ** (563 / 256))],
    ids=["Display P3", "Adobe RGB"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_profiles_are_converted_at_full_depth(
    tmp_path: Path, profile: bytes, space: str, decode: Callable[[np.ndarray], np.ndarray], dtype: type
) -> None:
    levels = np.random.default_rng(0).random((16, 20, 3))
    white = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (levels * white).astype(dtype)
    save(tmp_path / "image.tif", pixels, profile)
    with pytest.warns(Notice, match="was converted to sRGB"):
        found = read_rgb(tmp_path / "image.tif")
    assert found.dtype == (np.float32 if dtype is np.float32 else np.uint16)
    linear = decode(pixels / white) @ colour.matrix_RGB_to_RGB(space, "sRGB").T
    values = decode_srgb(found / np.float64(1 if dtype is np.float32 else 65535))
    np.testing.assert_allclose(values, linear.clip(0, 1), atol=1e-3)


def test_sixteen_bit_images_are_converted_below_their_white_level(tmp_path: Path, scene: np.ndarray) -> None:
    twelve = save(tmp_path / "camera.tif", np.round(in_display_p3(scene) * 4095).astype(np.uint16), DISPLAY_P3)
    with pytest.warns(Notice, match=CONVERTED):
        cube = nd.reconstruct(twelve, "linear", white_level=4095)
    np.testing.assert_allclose(cube, nd.reconstruct(encode_srgb(scene), "linear"), atol=2e-3)


def test_a_linear_profile_is_decoded_for_what_it_is(tmp_path: Path, scene: np.ndarray) -> None:
    path = save(tmp_path / "linear.tif", scene.astype(np.float32), LINEAR)
    with pytest.warns(Notice, match=r"\(Linear sRGB\) was converted to sRGB"):
        cube = nd.reconstruct(path, "linear")
    np.testing.assert_allclose(cube, nd.reconstruct(scene, "linear", encoding="linear"), atol=2e-3)


def test_srgb_is_known_by_its_colours_not_by_its_name(tmp_path: Path, scene: np.ndarray) -> None:
    nameless = make_profile("c2", "sRGB", table_curve(decode_srgb))
    for profile, name in ((SRGB, "sRGB built-in"), (nameless, "c2")):
        path = save(tmp_path / "image.png", eight_bits(encode_srgb(scene)), profile)
        np.testing.assert_array_equal(read_rgb(path), eight_bits(encode_srgb(scene)), strict=True)
        assert nd.reconstruct(path, "linear").attrs["input_profile"] == name


@pytest.mark.parametrize(
    "profile",
    [b"no profile at all", DISPLAY_P3[:400], ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()],
    ids=["junk", "truncated", "for Lab"],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_unusable_profiles_are_left_out_aloud(tmp_path: Path, profile: bytes, suffix: str) -> None:
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    path = save(tmp_path / f"image.{suffix}", pixels, profile)
    with pytest.warns(Notice, match=r"^image.*damaged or not one for RGB; the values are taken as sRGB"):
        np.testing.assert_allclose(read_rgb(path), pixels, atol=2)
    with pytest.warns(Notice, match="taken as sRGB"):
        assert nd.reconstruct(path, "linear").attrs["input_profile"] == "sRGB (assumed)"


def test_linear_values_are_left_untouched_by_the_profile(tmp_path: Path, scene: np.ndarray) -> None:
    pixels = eight_bits(scene)
    path = save(tmp_path / "image.png", pixels, DISPLAY_P3)
    with pytest.warns(Notice, match=r"profile \(Display P3\) is not applied, since its values are said to be linear"):
        cube = nd.reconstruct(path, "linear", encoding="linear")
    np.testing.assert_array_equal(cube, nd.reconstruct(pixels, "linear", encoding="linear"))
    assert cube.attrs["input_profile"] == "Display P3, not applied"


def test_an_array_can_bring_its_profile(scene: np.ndarray) -> None:
    with pytest.warns(Notice, match=f"^The image: {CONVERTED}"):
        cube = nd.reconstruct(in_display_p3(scene), "linear", profile=DISPLAY_P3)
    np.testing.assert_allclose(cube, nd.reconstruct(encode_srgb(scene), "linear"), atol=1e-3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_layer_that_napari_opened_is_asked_for_its_files_profile(
    make_napari_viewer: MakeViewer, tmp_path: Path, scene: np.ndarray, suffix: str
) -> None:
    path = save(tmp_path / f"phone.{suffix}", np.rot90(eight_bits(in_display_p3(scene))), DISPLAY_P3, QUARTER_CLOCKWISE)
    (layer,) = make_napari_viewer().open(path, plugin="napari")
    profile = profile_of_layer(layer)
    assert profile == DISPLAY_P3
    with pytest.warns(Notice, match=CONVERTED):
        shown = nd.reconstruct(rgb_from_layer(layer), "linear", profile=profile)
    with pytest.warns(Notice, match=CONVERTED):
        upright = nd.reconstruct(path, "linear")
    turned = shown.shape != upright.shape
    np.testing.assert_allclose(np.rot90(shown, -1, axes=(1, 2)) if turned else shown, upright, atol=1e-6)


def test_layers_without_a_file_of_their_own_have_no_profile(
    make_napari_viewer: MakeViewer, tmp_path: Path, scene: np.ndarray
) -> None:
    viewer = make_napari_viewer()
    path = save(tmp_path / "image.png", eight_bits(in_display_p3(scene)), DISPLAY_P3)
    assert profile_of_layer(viewer.add_image(read_rgb_quietly(path), rgb=True)) is None
    np.save(tmp_path / "image.npy", eight_bits(scene))
    (from_array,) = viewer.open(tmp_path / "image.npy", plugin="napari", rgb=True)
    assert profile_of_layer(from_array) is None
    (opened,) = viewer.open(path, plugin="napari")
    opened.data = opened.data[4:40]
    assert profile_of_layer(opened) is None
    (opened,) = viewer.open(path, plugin="napari")
    path.unlink()
    assert profile_of_layer(opened) is None


def read_rgb_quietly(path: Path) -> np.ndarray:
    with pytest.warns(Notice, match=CONVERTED):
        return read_rgb(path)
