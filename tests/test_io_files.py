"""Which file is what, what is refused before a format is known, and files that appear whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from napari_drcr.cubes.cube import make_cube
from napari_drcr.errors import InputError
from napari_drcr.io import cube_files, find_cubes, looks_like_cube, read_cube, write_cube
from napari_drcr.system.files import atomic_path


@pytest.fixture
def cube() -> xr.DataArray:
    """A small cube, higher than wide."""
    return make_cube(np.random.default_rng(0).random((3, 7, 4), dtype=np.float32), [450, 550, 650], quantity="reflectance")


@pytest.mark.parametrize(
    "name", ["scene.mat", "scene.hdr", "scene.nc", "scene.tif", "SCENE.MAT", "SCENE.HDR", "SCENE.NC", "SCENE.TIFF"]
)
def test_what_is_written_is_recognised_and_read(tmp_path: Path, cube: xr.DataArray, name: str) -> None:
    write_cube(str(tmp_path / name), cube)
    assert looks_like_cube(str(tmp_path / name))
    xr.testing.assert_identical(read_cube(str(tmp_path / name)).rename(None), cube)


def test_content_counts_more_than_the_suffix(tmp_path: Path, cube: xr.DataArray) -> None:
    write_cube(tmp_path / "scene.mat", cube)
    np.testing.assert_array_equal(read_cube((tmp_path / "scene.mat").rename(tmp_path / "scene.hdr")), cube)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("scene.mat", b"", "the file is empty"),
        ("scene.mat", b"<!DOCTYPE html>\n<html>", "this is a web page under another name"),
        ("scene.hdr", b"\xef\xbb\xbf <HTML>", "this is a web page under another name"),
        ("scene.mat", b"no such thing", "this is no MATLAB file of version 7.3 or 5"),
        (
            "scene.hdr",
            b"#?RADIANCE\n",
            r"this file is no cube that can be read; known are MATLAB \(.mat.*ENVI.*netCDF.*TIFF.*CAVE",
        ),
        ("scene.txt", b"hello", "this file is no cube that can be read"),
        ("scene.img", bytes(100), "this file is no cube that can be read"),
    ],
)
def test_files_that_hold_no_cube(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert not looks_like_cube(tmp_path / name)
    with pytest.raises(InputError, match=f"^{name}: {sentence}"):
        read_cube(tmp_path / name)


def test_pictures_are_left_to_others(tmp_path: Path) -> None:
    for name in ("photo.png", "photo.tif"):
        Image.new("RGB", (8, 5)).save(tmp_path / name)
        assert not looks_like_cube(tmp_path / name)
    assert not looks_like_cube(tmp_path)
    assert not looks_like_cube(tmp_path / "missing.mat")
    assert not looks_like_cube("a\0b.mat")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^scene.mat: there is no such file or folder"):
        read_cube(tmp_path / "scene.mat")


@pytest.mark.parametrize(("name", "suffix"), [("scene.png", ".png"), ("scene", "a name without suffix")])
def test_only_known_suffixes_are_written(tmp_path: Path, cube: xr.DataArray, name: str, suffix: str) -> None:
    with pytest.raises(
        InputError, match=rf"^{name}: cubes are written as .mat .*, .hdr .*, .nc .* or .tif .*, not as {suffix}"
    ):
        write_cube(tmp_path / name, cube)


@pytest.mark.parametrize("name", ["scene.mat", "scene.hdr", "scene.nc", "scene.tif"])
def test_only_cubes_are_written_and_only_into_folders(tmp_path: Path, cube: xr.DataArray, name: str) -> None:
    with pytest.raises(InputError, match=r"a cube is an xarray.DataArray"):
        write_cube(tmp_path / name, cube.values)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist; create it first"):
        write_cube(tmp_path / "nowhere" / name, cube)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name} cannot be written: a folder has this name; choose another name"):
        write_cube(tmp_path / name, cube)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["scene.mat", "scene.hdr", "scene.nc", "scene.tif"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, cube: xr.DataArray, name: str) -> None:
    write_cube(tmp_path / name, cube)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(InputError, match=rf"^{name}: the illuminant's name '\\ud800' holds characters that are no text"):
        write_cube(tmp_path / name, cube.assign_attrs(illuminant="\ud800"))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["scene.mat", "scene.hdr"])
@pytest.mark.parametrize(
    ("attrs", "sentence"),
    [
        ({"illuminant": np.ones(31)}, "the illuminant must be the name of a light or None, not ndarray"),
        ({"scale": None}, "the attribute 'scale' must be a finite number, not None"),
        ({"scale": "big"}, "the attribute 'scale' must be a finite number, not 'big'"),
        ({"norm_factor": [1.0, 2.0]}, "the attribute 'norm_factor' must be a finite number, not list"),
        ({"norm_factor": float("nan")}, "the attribute 'norm_factor' must be a finite number, not nan"),
        ({"model": {(1, 2): "photo"}}, "the cube's attributes cannot be written"),
    ],
)
def test_attributes_that_no_file_gives_back(
    tmp_path: Path, cube: xr.DataArray, name: str, attrs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=f"^{name}: {sentence}"):
        write_cube(tmp_path / name, cube.assign_attrs(attrs))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text(tmp_path: Path, cube: xr.DataArray) -> None:
    with pytest.raises(InputError, match="the name holds characters that are no text"):
        write_cube(tmp_path / "scene\ud800.mat", cube)


def test_a_folder_of_cubes_lists_each_once(tmp_path: Path, cube: xr.DataArray) -> None:
    for name in ("first.hdr", "second.mat", ".hidden.mat"):
        write_cube(tmp_path / name, cube)
    (tmp_path / "cloth_ms").mkdir()
    for number in (2, 1):
        Image.fromarray(np.zeros((5, 8), np.uint16)).save(tmp_path / "cloth_ms" / f"cloth_ms_{number:02d}.png")
    Image.new("RGB", (8, 5)).save(tmp_path / "first.png")
    (tmp_path / "first.txt").write_text("notes")
    found = find_cubes(str(tmp_path))
    assert [path.name for path in found] == ["cloth_ms", "first.hdr", "second.mat"]
    files = [[file.name for file in cube_files(path)] for path in found]
    assert files == [["cloth_ms_01.png", "cloth_ms_02.png"], ["first.hdr", "first.img"], ["second.mat"]]
    assert cube_files(tmp_path / "first.img") == cube_files(tmp_path / "first.hdr")


def test_what_is_no_cube_has_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a folder"):
        find_cubes(tmp_path / "nowhere")
    with pytest.raises(InputError, match="this is no cube that can be read"):
        cube_files(tmp_path)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"

    def stop_in_the_middle() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        stop_in_the_middle()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["whole"]


def test_a_refusal_names_the_target_whatever_cannot_be_cleaned_up(tmp_path: Path) -> None:
    # As on a read-only disk, neither writing nor removing the temporary file is possible: its name is too long.
    target = tmp_path / f"scene.{'x' * 300}"
    with pytest.raises(InputError, match=f"^{re.escape(str(target))} cannot be written: "), atomic_path(target):
        pass


def test_importing_the_package_is_cheap() -> None:
    heavy = ("h5py", "scipy", "spectral", "PIL", "tifffile", "imagecodecs", "xarray")
    code = f"import sys, napari_drcr.io; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
