"""TIFF cubes: ours, and the stacks of tifffile, ImageJ and OME. Images are oblong, so that a transpose shows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from PIL import Image

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import looks_like_cube, read_cube, write_cube

CASES = Path(__file__).parent / "cases"
NM = [450.0, 500.0, 600.0, 650.0, 1000.0]


@pytest.fixture
def values() -> np.ndarray:
    """A cube (bands, y, x) with a different value everywhere."""
    return np.random.default_rng(0).random((5, 6, 8), dtype=np.float32)


def save(path: Path, values: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, values, **({"photometric": "minisblack"} | options))
    return path


@pytest.mark.parametrize("name", ["scene.tif", "scene.tiff"])
def test_a_cube_comes_back_as_it_was(tmp_path: Path, values: np.ndarray, name: str) -> None:
    attrs = {
        "model": "photo",
        "tile": None,
        "versions": {"torch": "2.6"},
        "shape": [1, 2],
        "note": '"{} °C\n',
        "white": np.float32(0.5),
    }
    cube = make_cube(values, NM, quantity="radiance", scale=4095, illuminant="D65 daylight, 20 °C", attrs=attrs)
    write_cube(tmp_path / name, cube)
    back = read_cube(tmp_path / name)
    xr.testing.assert_identical(back, cube.rename("scene"))
    assert back.dtype == np.float32
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("shape", [(1, 6, 8), (5, 1, 8), (5, 6, 1), (1, 1, 1), (5, 6, 3), (3, 6, 4)])
def test_small_cubes_keep_their_shape(tmp_path: Path, values: np.ndarray, shape: tuple[int, int, int]) -> None:
    bands, height, width = shape
    cube = make_cube(values[:bands, :height, :width], NM[:bands])
    write_cube(tmp_path / "scene.tif", cube)
    assert looks_like_cube(tmp_path / "scene.tif")
    xr.testing.assert_identical(read_cube(tmp_path / "scene.tif").rename(None), cube)


def test_other_tools_read_our_files_as_plain_stacks(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.tif", make_cube(values, NM))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "scene.tif"), values)
    with Image.open(tmp_path / "scene.tif") as image:
        assert image.n_frames == len(values)
        for band, page in enumerate(values):
            image.seek(band)
            np.testing.assert_array_equal(np.asarray(image), page)


@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}, {"imagej": True}, {"planarconfig": "separate"}, {"truncate": True}, {"bigtiff": True}]
)
@pytest.mark.parametrize("kind", [np.float32, np.uint16, np.uint8])
def test_31_bands_of_other_tools(tmp_path: Path, options: dict[str, Any], kind: type) -> None:
    values = (np.random.default_rng(0).random((31, 5, 8)) * 200).astype(kind)
    path = save(tmp_path / "scene.tif", values, **options)
    assert looks_like_cube(path)
    with pytest.warns(Notice, match="31 bands are taken as 400-700 nm"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values.astype(np.float32))
    assert tuple(cube["wavelength"].values) == WAVELENGTHS
    assert cube.dtype == np.float32


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_bands_as_samples_of_one_page(tmp_path: Path, values: np.ndarray, photometric: str) -> None:
    counts = (values * 65535).astype(np.uint16)
    metadata = {"wavelengths": NM, "wavelength_units": "nm"}
    path = save(
        tmp_path / "scene.tif",
        counts.transpose(1, 2, 0),
        photometric=photometric,
        planarconfig="contig",
        metadata=metadata,
        compression="zlib",
    )
    assert looks_like_cube(path)
    np.testing.assert_array_equal(read_cube(path), counts)


def test_other_bands_without_wavelengths_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = save(tmp_path / "scene.tif", values)
    assert looks_like_cube(path)
    with pytest.raises(InputError, match=r"^scene.tif: a cube of 5 bands comes without wavelengths"):
        read_cube(path)


@pytest.mark.parametrize("axes", ["ZYX", "CYX", "TYX"])
def test_labels_of_imagej(tmp_path: Path, values: np.ndarray, axes: str) -> None:
    labels = [f"beads {nm:g}nm" for nm in NM]
    path = save(tmp_path / "scene.tif", values, imagej=True, metadata={"axes": axes, "Labels": labels})
    with pytest.warns(Notice, match="scene.tif: its wavelengths, 450 to 1000 nm, are taken from its labels"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM


@pytest.mark.parametrize(
    "channel",
    [
        {"Name": [f"{nm / 1000:g} µm" for nm in NM]},
        {"Name": ["cyan"] * 5, "EmissionWavelength": NM},
        {"EmissionWavelength": NM, "EmissionWavelengthUnit": ["nm"] * 5},
    ],
)
def test_channels_of_ome(tmp_path: Path, values: np.ndarray, channel: dict[str, Any]) -> None:
    path = save(tmp_path / "scene.ome.tif", values, metadata={"axes": "CYX", "Channel": channel})
    with pytest.warns(Notice, match="are taken from its labels"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM


@pytest.mark.parametrize("labels", [["blue"] * 31, ["z 5 nm of 400 nm"] * 31, [f"{nm:g} nm" for nm in WAVELENGTHS[:-1]]])
def test_labels_that_do_not_name_a_wavelength_each_are_left_out(tmp_path: Path, labels: list[str]) -> None:
    path = save(
        tmp_path / "scene.tif", np.ones((31, 5, 8), np.float32), imagej=True, metadata={"axes": "ZYX", "Labels": labels}
    )
    with pytest.warns(Notice) as notices:
        assert tuple(read_cube(path)["wavelength"].values) == WAVELENGTHS
    assert [str(notice.message).split(":")[0] for notice in notices] == ["No wavelengths are given"]


@pytest.mark.parametrize(("factor", "words"), [(1, "nm"), (0.001, "micrometres")])
def test_a_missing_unit_is_not_guessed_silently(tmp_path: Path, values: np.ndarray, factor: float, words: str) -> None:
    path = save(tmp_path / "scene.tif", values, metadata={"wavelengths": [nm * factor for nm in NM]})
    with pytest.warns(Notice, match=f"scene.tif: wavelengths of .* without a unit are taken as {words}"):
        assert read_cube(path)["wavelength"].values.tolist() == NM


def test_bands_out_of_order_are_sorted(tmp_path: Path, values: np.ndarray) -> None:
    metadata = {"wavelengths": NM[::-1], "wavelength_units": "nm"}
    with pytest.warns(Notice, match="not in the order of their wavelengths"):
        cube = read_cube(save(tmp_path / "scene.tif", values[::-1], metadata=metadata))
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM


@pytest.mark.parametrize(
    ("shape", "kind", "options", "sentence"),
    [
        ((5, 8), "u1", {}, r"this TIFF is a picture of 1 sample a pixel, not a cube; .* or more than 4 samples a pixel"),
        ((5, 8, 3), "u1", {"photometric": "rgb"}, "this TIFF is a picture of 3 samples a pixel, not a cube"),
        ((3, 5, 8), "u1", {"photometric": "rgb", "planarconfig": "separate"}, "a picture of 3 samples a pixel"),
        ((5, 8, 4), "u2", {"photometric": "rgb", "extrasamples": ["unassalpha"]}, "a picture of 4 samples a pixel"),
        ((5, 8, 2), "u2", {"planarconfig": "contig", "extrasamples": ["unspecified"]}, "a picture of 2 samples a pixel"),
        ((31, 5, 8, 3), "u1", {"photometric": "rgb"}, "a picture of 3 samples a pixel"),
        ((2, 31, 5, 8), "f4", {"imagej": True}, r"has the axes ZCYX \(2 x 31 x 5 x 8\), but a cube has three"),
        ((31, 5, 8), "u1", {"photometric": "miniswhite"}, "of the kind MINISWHITE, not gray"),
        ((31, 5, 8), "u1", {"photometric": "palette", "colormap": np.zeros((3, 256), "u2")}, "of the kind PALETTE, not gray"),
        ((31, 5, 8), "c8", {}, "a cube holds real numbers, but this TIFF holds complex64"),
    ],
)
def test_pictures_and_other_stacks_are_no_cubes(
    tmp_path: Path, shape: tuple[int, ...], kind: str, options: dict[str, Any], sentence: str
) -> None:
    path = save(tmp_path / "scene.tif", np.zeros(shape, kind), **options)
    assert not looks_like_cube(path)
    with pytest.raises(InputError, match=f"^scene.tif: .*{sentence}"):
        read_cube(path)


def test_a_picture_with_its_thumbnail_is_no_cube(tmp_path: Path, values: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "photo.tif") as file:
        file.write(values[0], metadata=None)
        file.write(values[0, ::2, ::2], metadata=None, subfiletype=1)
    assert not looks_like_cube(tmp_path / "photo.tif")


def test_bands_beside_a_picture_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "scene.tif") as file:
        file.write(values, photometric="minisblack", metadata=None)
        file.write(np.zeros((6, 8, 3), np.uint8), photometric="rgb", metadata=None)
    with pytest.raises(InputError, match=r"^scene.tif: this TIFF holds images of different kinds \(5 x 6 x 8, 6 x 8 x 3\)"):
        read_cube(tmp_path / "scene.tif")


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"wavelengths": NM[1:], "wavelength_units": "nm"}, "4 wavelengths do not fit 5 bands"),
        ({"wavelengths": [500.0] * 5, "wavelength_units": "nm"}, "wavelengths must be positive and ascend"),
        ({"wavelengths": NM, "wavelength_units": "furlong"}, "wavelength units 'furlong' are not known"),
        ({"wavelengths": ["blue"] * 5}, "the file is damaged, truncated or not what its name says .*blue"),
        ({"wavelengths": [], "wavelength_units": "nm"}, "0 wavelengths do not fit 5 bands"),
        ({"wavelengths": NM, "quantity": "radiance", "scale": "big"}, "'scale' or 'attributes' cannot be understood"),
    ],
)
def test_descriptions_that_make_no_sense(tmp_path: Path, values: np.ndarray, metadata: dict[str, Any], sentence: str) -> None:
    path = save(tmp_path / "scene.tif", values, metadata=metadata)
    with pytest.raises(InputError, match=f"^scene.tif: .*{sentence}"):
        read_cube(path)


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6])
def test_truncated_files(tmp_path: Path, values: np.ndarray, kept: float, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "scene.tif", values, metadata={"wavelengths": NM, "wavelength_units": "nm"})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match=r"^scene.tif: ") as failure:
        read_cube(path)
    assert "\n" not in str(failure.value)
    assert not caplog.records


@pytest.mark.parametrize("lazy", [False, True])
def test_strips_of_no_bytes_are_not_read_as_black(lazy: bool) -> None:
    with pytest.raises(InputError, match=r"1 of the 4 strips or tiles of page 1 .* are missing; it is sparse or damaged"):
        read_cube(CASES / "tifcube_strip0.tif", lazy=lazy)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("options", "tag", "value"),
    [
        ({"compression": "zlib", "rowsperstrip": 2}, "Offsets", 0),
        ({"compression": "zlib", "rowsperstrip": 2}, "Offsets", 10**6),
        ({"compression": "zlib", "rowsperstrip": 2}, "ByteCounts", 0),
        ({"rowsperstrip": 2}, "Offsets", 0),
        ({"rowsperstrip": 2}, "Offsets", 10**6),
        ({"tile": (16, 16)}, "Offsets", 0),
        ({"tile": (16, 16)}, "Offsets", 10**6),
        ({"tile": (16, 16)}, "ByteCounts", 0),
    ],
)
def test_every_strip_of_every_page_is_looked_for(
    tmp_path: Path, options: dict[str, Any], tag: str, value: int, lazy: bool
) -> None:
    path = tmp_path / "cube.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(31):
            file.write(np.ones((32, 40), np.float32), photometric="minisblack", metadata=None, contiguous=False, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        found = file.pages[20].tags[f"{'Tile' if 'tile' in options else 'Strip'}{tag}"]
        found.overwrite((*found.value[:-1], value))
    with pytest.raises(InputError, match=r"page 21 .*(are missing|goes on to byte|do not lie one after another)"):
        read_cube(path, lazy=lazy)


def test_pages_that_share_their_values_are_no_cube(tmp_path: Path) -> None:
    path = tmp_path / "cube.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(31):
            file.write(np.ones((2, 2), np.float32), photometric="minisblack", metadata=None, contiguous=False)
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
                page.tags[tag].overwrite(32)
            page.tags["StripByteCounts"].overwrite(4 * 32 * 32)
            page.tags["StripOffsets"].overwrite(8)
    with pytest.raises(InputError, match=r"32 x 32 pixels \(126976 bytes in all\) promised"):
        read_cube(path)


def test_pages_in_a_circle_are_no_cube(tmp_path: Path) -> None:
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, np.ones((31, 8, 8), np.float32), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        last, form = file.pages[30].offset, file.tiff
        end = last + form.tagnosize + len(file.pages[29].tags) * form.tagsize
    content = bytearray(path.read_bytes())
    assert content[end : end + 4] == bytes(4)
    content[end : end + 4] = last.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="more than 4096 pages"):
        read_cube(path)


def test_a_tile_larger_than_its_image_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, np.ones((31, 32, 40), np.float32), photometric="minisblack", compression="zlib", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("TileLength", "TileWidth"):
            file.pages.first.tags[tag].overwrite(65520)
    with pytest.raises(InputError, match="damaged, truncated"):
        read_cube(path)
