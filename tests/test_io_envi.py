"""ENVI files: ours, and those that the spectral package and other tools write."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spectral.io.envi as envi
import tifffile

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import looks_like_cube, read_cube, write_cube

NM = [450.0, 500.0, 600.0, 1000.0]


@pytest.fixture
def values() -> np.ndarray:
    """A cube (bands, y, x) with a different value everywhere."""
    return np.random.default_rng(0).random((4, 5, 8), dtype=np.float32)


def save_envi(path: Path, values: np.ndarray, **fields: Any) -> Path:
    """Save (bands, y, x) with the spectral package; underscores in field names stand for spaces."""
    options = {key: fields.pop(key) for key in ("interleave", "byteorder", "ext") if key in fields}
    metadata = {key.replace("_", " "): value for key, value in fields.items()}
    envi.save_image(str(path), values.transpose(1, 2, 0), metadata=metadata, **options)
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_cube_comes_back_as_it_was(tmp_path: Path, values: np.ndarray) -> None:
    attrs = {"model": "photo", "versions": {"torch": "2.6"}, "fwhm": [5.0, 5.0, 10.0, 20.0], "note": "a = {b}, c"}
    cube = make_cube(values, NM, quantity="reflectance", scale=65535, illuminant="D65", attrs=attrs)
    write_cube(tmp_path / "scene.hdr", cube)
    for name in ("scene.hdr", "scene.img"):
        back = read_cube(tmp_path / name)
        np.testing.assert_array_equal(back, values)
        assert back["wavelength"].values.tolist() == NM
        assert back.attrs == cube.attrs
        assert back.name == "scene"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scene.hdr", "scene.img"]


def test_other_tools_read_our_files(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    image = envi.open(str(tmp_path / "scene.hdr"))
    np.testing.assert_array_equal(image.open_memmap(interleave="bsq"), values)
    assert image.bands.centers == NM
    assert image.bands.band_unit == "Nanometers"


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_every_order_of_the_data(tmp_path: Path, values: np.ndarray, interleave: str, byteorder: str) -> None:
    fields = {"wavelength": NM, "wavelength_units": "nm"}
    path = save_envi(tmp_path / "scene.hdr", values, interleave=interleave, byteorder=byteorder, **fields)
    np.testing.assert_array_equal(read_cube(path), values)


@pytest.mark.parametrize("ext", ["", ".dat", ".raw"])
def test_every_name_of_the_data(tmp_path: Path, values: np.ndarray, ext: str) -> None:
    save_envi(tmp_path / "scene.hdr", values, ext=ext, wavelength=NM, wavelength_units="nm")
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.hdr"), values)
    np.testing.assert_array_equal(read_cube(tmp_path / f"scene{ext}"), values)


def test_a_header_named_after_the_data_file(tmp_path: Path, values: np.ndarray) -> None:
    save_envi(tmp_path / "scene.raw.hdr", values, ext="", wavelength=NM, wavelength_units="nm")
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.raw"), values)


@pytest.mark.parametrize("unit", ["Micrometers", "um", "Microns"])
def test_micrometres(tmp_path: Path, values: np.ndarray, unit: str) -> None:
    fields = {"wavelength": [nm / 1000 for nm in NM], "wavelength_units": unit, "fwhm": [0.01] * 4}
    cube = read_cube(save_envi(tmp_path / "scene.hdr", values, **fields))
    assert cube["wavelength"].values.tolist() == NM
    assert cube.attrs["fwhm"] == [10.0] * 4


@pytest.mark.parametrize("unknown", [{}, {"wavelength_units": "Unknown"}])
@pytest.mark.parametrize(("factor", "words"), [(1, "nm"), (0.001, "micrometres")])
def test_a_missing_unit_is_not_guessed_silently(
    tmp_path: Path, values: np.ndarray, factor: float, words: str, unknown: dict[str, str]
) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=[nm * factor for nm in NM], fwhm=[10 * factor] * 4, **unknown)
    with pytest.warns(Notice, match=f"scene.hdr: wavelengths of .* without a unit are taken as {words}"):
        cube = read_cube(path)
    np.testing.assert_allclose(cube["wavelength"], NM)
    np.testing.assert_allclose(cube.attrs["fwhm"], 10)


@pytest.mark.parametrize("fields", [{}, {"wavelength": list(range(1, 32)), "wavelength_units": "Index"}])
def test_thirty_one_bands_without_wavelengths(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = save_envi(tmp_path / "scene.hdr", np.ones((31, 5, 8), dtype=np.float32), **fields)
    with pytest.warns(Notice, match="31 bands are taken as 400-700 nm"):
        assert tuple(read_cube(path)["wavelength"].values) == WAVELENGTHS


def test_other_bands_without_wavelengths_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"^scene.hdr: a cube of 4 bands comes without wavelengths"):
        read_cube(save_envi(tmp_path / "scene.hdr", values))


def test_bands_out_of_order_are_sorted(tmp_path: Path, values: np.ndarray) -> None:
    fields = {"wavelength": NM[::-1], "wavelength_units": "nm", "fwhm": [4, 3, 2, 1]}
    path = save_envi(tmp_path / "scene.hdr", values[::-1], **fields)
    with pytest.warns(Notice, match="not in the order of their wavelengths"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM
    assert cube.attrs["fwhm"] == [1, 2, 3, 4]


def test_one_default_band_and_fields_in_capitals(tmp_path: Path, values: np.ndarray) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=NM, wavelength_units="nm")
    path.write_text(path.read_text() + "default bands = {2}\nSensor Type = Unknown\n")
    np.testing.assert_array_equal(read_cube(path), values)


def test_one_band(tmp_path: Path, values: np.ndarray) -> None:
    path = save_envi(tmp_path / "scene.hdr", values[:1], wavelength=550, wavelength_units="nm")
    assert read_cube(path)["wavelength"].values.tolist() == [550]


def test_the_reflectance_scale_factor_is_divided_out_and_recorded(tmp_path: Path, values: np.ndarray) -> None:
    counts = (values * 10000).astype(np.int16)
    fields = {"wavelength": NM, "wavelength_units": "nm", "reflectance_scale_factor": 10000}
    cube = read_cube(save_envi(tmp_path / "scene.hdr", counts, **fields))
    np.testing.assert_allclose(cube, counts / 10000, rtol=1e-6)
    assert (cube.attrs["scale"], cube.attrs["quantity"]) == (10000, "reflectance")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("lines = 5", "lines = 50", r"promises 50 x 8 pixels of 4 bands \(6400 bytes\), but scene.img holds 640 bytes"),
        ("lines = 5", "lines = 0", "promises 0 x 8"),
        ("lines = 5", "lines = five", "damaged"),
        ("lines = 5", "", 'Mandatory parameter "lines" missing'),
        ("data type = 4", "data type = 6", "ENVI data type 6 is not one of real numbers"),
        ("data type = 4", "data type = 99", "ENVI data type 99 is not one of real numbers"),
        ("interleave = bip", "interleave = tiles", "interleave must be bsq, bil or bip, not 'tiles'"),
        ("ENVI Standard", "ENVI Spectral Library", "spectral library, not an image"),
        ("nm", "Wavenumber", "wavelength units 'wavenumber' are not known"),
        ("450.0", "blue", "'wavelength' should hold numbers"),
        ("{ 450.0 , 500.0", "{ 500.0", "3 wavelengths do not fit 4 bands"),
        ("450.0", "500.0", "wavelengths must be positive and ascend"),
        ("wavelength units", "reflectance scale factor = 0\nwavelength units", "scale factor must be positive, not 0"),
        ("1000.0 }", "", "damaged"),
    ],
)
def test_headers_that_make_no_sense(tmp_path: Path, values: np.ndarray, old: str, new: str, sentence: str) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=NM, wavelength_units="nm")
    change(path, old, new)
    with pytest.raises(InputError, match=f"^scene.hdr: .*{sentence}"):
        read_cube(path)


def test_a_header_without_its_data(tmp_path: Path, values: np.ndarray) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=NM, wavelength_units="nm")
    (tmp_path / "scene.img").unlink()
    with pytest.raises(InputError, match=r"^scene.hdr: there is no data file \(scene.img, .* beside scene.hdr"):
        read_cube(path)


def test_a_binary_header(tmp_path: Path) -> None:
    (tmp_path / "scene.hdr").write_bytes(b"ENVI\nwavelength units = \xb5m\n")
    with pytest.raises(InputError, match=r"^scene.hdr: the file is damaged"):
        read_cube(tmp_path / "scene.hdr")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".txt", ".hdr.bak"])
def test_other_files_beside_a_header_are_no_cubes(tmp_path: Path, values: np.ndarray, suffix: str) -> None:
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    other = tmp_path / f"scene{suffix}"
    other.write_bytes(bytes(values.nbytes))
    assert not looks_like_cube(other)
    with pytest.raises(InputError, match="this file is no cube that can be read"):
        read_cube(other)
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.hdr"), values)


def test_a_picture_is_not_taken_for_raw_numbers(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    tifffile.imwrite(tmp_path / "scene.img", np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    assert not looks_like_cube(tmp_path / "scene.img")
    with pytest.raises(InputError, match=r"^scene.hdr: scene.img beside scene.hdr is a picture, a web page or HDF5"):
        read_cube(tmp_path / "scene.hdr")


def test_a_file_of_the_same_name_does_not_stand_in_for_our_data(tmp_path: Path, values: np.ndarray) -> None:
    stale = tmp_path / "scene"
    stale.write_bytes(bytes(values.nbytes))
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.hdr"), values)
    with pytest.raises(InputError, match=r"^scene: scene.hdr belongs to scene.img, not to this file"):
        read_cube(stale)
    (tmp_path / "scene.img").unlink()
    with pytest.raises(InputError, match=r"^scene.hdr: there is no data file \(scene.img\) beside scene.hdr"):
        read_cube(tmp_path / "scene.hdr")


def test_our_files_can_be_renamed(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    for suffix in (".hdr", ".img"):
        (tmp_path / f"scene{suffix}").rename(tmp_path / f"other.v2{suffix}")
    write_cube(tmp_path / "scene.hdr", make_cube(values * 2, NM))
    np.testing.assert_array_equal(read_cube(tmp_path / "other.v2.hdr"), values)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_pair_of_another_tool_is_replaced(tmp_path: Path, values: np.ndarray) -> None:
    save_envi(tmp_path / "scene.hdr", values)
    write_cube(tmp_path / "scene.hdr", make_cube(values[:, 1:], NM))
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.hdr"), values[:, 1:])
    assert content(tmp_path).keys() == {"scene.hdr", "scene.img"}


@pytest.mark.parametrize("beside", ["nothing", "a header of another format", "a header that means scene.dat", "scene.img.hdr"])
def test_a_data_file_of_something_else_is_not_replaced(tmp_path: Path, values: np.ndarray, beside: str) -> None:
    cube = make_cube(values, NM)
    if beside == "a header of another format":
        (tmp_path / "scene.hdr").write_bytes(bytes(348))
    elif beside == "a header that means scene.dat":
        save_envi(tmp_path / "scene.hdr", values, ext=".dat")
    elif beside == "scene.img.hdr":
        write_cube(tmp_path / "scene.hdr", cube)
        (tmp_path / "scene.hdr").rename(tmp_path / "scene.img.hdr")
    if beside != "scene.img.hdr":
        (tmp_path / "scene.img").write_bytes(b"somebody's")
    before = content(tmp_path)
    with pytest.raises(
        InputError, match=r"^scene.hdr cannot be written: its data would replace scene.img, .*; choose another name, or move"
    ):
        write_cube(tmp_path / "scene.hdr", cube)
    assert content(tmp_path) == before


def test_a_folder_where_the_data_should_go(tmp_path: Path, values: np.ndarray) -> None:
    (tmp_path / "scene.img").mkdir()
    with pytest.raises(InputError, match=r"scene.img cannot be written: a folder has this name"):
        write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    assert [path.name for path in tmp_path.iterdir()] == ["scene.img"]


@pytest.mark.parametrize("refused", range(1, 5))
def test_a_pair_stays_a_pair_if_one_of_its_files_cannot_be_replaced(
    tmp_path: Path, values: np.ndarray, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scene.hdr"
    write_cube(path, make_cube(values, NM))
    before = content(tmp_path)
    moves = 0
    seen: list[bytes | None] = []
    replace = Path.replace

    def refuse_once(source: Path, target: Path) -> Path:
        nonlocal moves
        moves += 1
        seen.append(content(tmp_path).get("scene.hdr"))
        if moves == refused:
            raise PermissionError(errno.EACCES, "Permission denied")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse_once)
    with pytest.raises(InputError, match=r"scene.hdr cannot be written: Permission denied\.$"):
        write_cube(path, make_cube(values + 1, NM))
    assert content(tmp_path) == before
    # While the data are exchanged there is no header that could be taken for theirs.
    assert not any(seen[1:])


def test_several_data_files_beside_another_tools_header(tmp_path: Path, values: np.ndarray) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=NM, wavelength_units="nm")
    (tmp_path / "scene").write_bytes(bytes(7))
    np.testing.assert_array_equal(read_cube(path), values)
    (tmp_path / "scene").write_bytes(bytes(values.nbytes))
    with pytest.raises(InputError, match=r"^scene.hdr: several files could hold its data \(scene, scene.img\); open the one"):
        read_cube(path)
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.img"), values)


def test_two_headers_for_one_data_file(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.hdr", make_cube(values, NM))
    (tmp_path / "scene.img.hdr").write_text((tmp_path / "scene.hdr").read_text())
    with pytest.raises(InputError, match=r"^scene.img: it has two headers \(scene.img.hdr, scene.hdr\)"):
        read_cube(tmp_path / "scene.img")


def test_widths_that_fit_no_bands_are_left_out(tmp_path: Path, values: np.ndarray) -> None:
    path = save_envi(tmp_path / "scene.hdr", values, wavelength=NM, wavelength_units="nm", fwhm=[5, 5])
    with pytest.warns(Notice, match=r"scene.hdr: its 2 widths \('fwhm'\) do not fit 4 bands and are left out"):
        assert "fwhm" not in read_cube(path).attrs
