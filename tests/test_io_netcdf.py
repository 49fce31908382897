"""netCDF files: ours, and those that xarray, scipy and h5py write with other names and orders. Images are oblong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import looks_like_cube, read_cube, write_cube

NM = [450.0, 500.0, 600.0, 1000.0]
DIMS = ("wavelength", "y", "x")
Variables = dict[str, tuple[Any, ...]]


@pytest.fixture
def values() -> np.ndarray:
    """A cube (bands, y, x) with a different value everywhere."""
    return np.random.default_rng(0).random((4, 5, 8), dtype=np.float32)


def save(path: Path, variables: Variables, **options: Any) -> Path:
    """Save variables as (dims, values, attributes) with xarray."""
    xr.Dataset(variables).to_netcdf(path, **({"engine": "h5netcdf"} | options))
    return path


def test_a_cube_comes_back_as_it_was(tmp_path: Path, values: np.ndarray) -> None:
    attrs = {
        "model": "photo",
        "tile": None,
        "versions": {"torch": "2.6"},
        "fwhm": [5.0, 5.0, 10.0, 20.0],
        "white": np.float32(0.5),
    }
    cube = make_cube(values, NM, quantity="radiance", scale=4095, illuminant="D65 daylight, 20 °C", attrs=attrs)
    write_cube(tmp_path / "scene.nc", cube)
    back = read_cube(tmp_path / "scene.nc")
    xr.testing.assert_identical(back, cube.rename("scene"))
    assert back.dtype == np.float32
    assert [file.name for file in tmp_path.iterdir()] == ["scene.nc"]


def test_a_cube_without_further_knowledge_comes_back_so(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.nc", make_cube(values.astype(np.float64), NM))
    assert read_cube(tmp_path / "scene.nc").attrs == {"quantity": "unknown", "scale": 1.0, "illuminant": None}


def test_attributes_may_be_long(tmp_path: Path, values: np.ndarray) -> None:
    cube = make_cube(values, NM, attrs={"note": "long " * 100_000})
    write_cube(tmp_path / "scene.nc", cube)
    assert read_cube(tmp_path / "scene.nc").attrs == cube.attrs


def test_other_tools_read_our_files(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.nc", make_cube(values, NM, quantity="reflectance"))
    with xr.open_dataset(tmp_path / "scene.nc", engine="h5netcdf") as data:
        assert data.attrs["Conventions"].startswith("CF-")
        assert data["cube"].dims == DIMS
        assert data["cube"].attrs["quantity"] == "reflectance"
        np.testing.assert_array_equal(data["cube"].sel(wavelength=600), values[2])
        assert data["wavelength"].attrs["units"] == "nm"
        assert data["wavelength"].attrs["standard_name"] == "radiation_wavelength"


@pytest.mark.parametrize("dims", [("y", "x", "lambda"), ("x", "y", "lambda"), ("lambda", "x", "y"), ("y", "lambda", "x")])
def test_every_order_of_the_axes(tmp_path: Path, values: np.ndarray, dims: tuple[str, ...]) -> None:
    order = [("lambda", "y", "x").index(dim) for dim in dims]
    variables = {"radiance": (dims, values.transpose(order)), "lambda": ("lambda", NM, {"units": "nm"})}
    cube = read_cube(save(tmp_path / "scene.nc", variables))
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM
    assert cube.attrs["quantity"] == "unknown"


@pytest.mark.parametrize(
    ("rows", "columns"), [("lat", "lon"), ("line", "sample"), ("Northing", "Easting"), ("row", "depth"), ("depth", "col")]
)
def test_names_of_rows_and_columns(tmp_path: Path, values: np.ndarray, rows: str, columns: str) -> None:
    variables = {"r": ((columns, rows, "bands"), values.T), "bands": ("bands", NM, {"units": "nm"})}
    np.testing.assert_array_equal(read_cube(save(tmp_path / "scene.nc", variables)), values)


def test_axes_of_unknown_names_keep_their_order_and_it_is_said(tmp_path: Path, values: np.ndarray) -> None:
    variables = {"r": (("a", "b", "wavelength"), values.transpose(1, 2, 0)), "wavelength": ("wavelength", NM, {"units": "nm"})}
    with pytest.warns(Notice, match=r"scene.nc: the axes 'a' and 'b' of 'r' are taken as y and x"):
        cube = read_cube(save(tmp_path / "scene.nc", variables))
    np.testing.assert_array_equal(cube, values)


@pytest.mark.parametrize(
    ("name", "attrs", "factor"),
    [
        ("wavelengths", {"units": "um"}, 1e-3),
        ("Wavelength", {"units": "micrometers"}, 1e-3),
        ("bands", {"units": "nanometer"}, 1),
        ("centre", {"units": "m", "standard_name": "radiation_wavelength"}, 1e-9),
    ],
)
def test_names_and_units_of_wavelengths(
    tmp_path: Path, values: np.ndarray, name: str, attrs: dict[str, str], factor: float
) -> None:
    variables = {"r": (("c", "y", "x"), values), name: ("c", np.array(NM) * factor, attrs)}
    assert read_cube(save(tmp_path / "scene.nc", variables))["wavelength"].values.tolist() == NM


def test_wavelengths_known_by_their_unit_alone_are_announced(tmp_path: Path, values: np.ndarray) -> None:
    variables = {"r": (("channel", "y", "x"), values), "channel": ("channel", NM, {"units": "nm"})}
    variables["width"] = ("channel", [10.0] * 4, {"units": "nm"})
    with pytest.warns(Notice, match=r"scene.nc: 'channel' is taken for the wavelengths, since its unit is nm"):
        assert read_cube(save(tmp_path / "scene.nc", variables))["wavelength"].values.tolist() == NM


@pytest.mark.parametrize(("factor", "words"), [(1, "nm"), (0.001, "micrometres")])
def test_a_missing_unit_is_not_guessed_silently(tmp_path: Path, values: np.ndarray, factor: float, words: str) -> None:
    variables = {"r": (DIMS, values), "wavelength": ("wavelength", np.array(NM) * factor)}
    with pytest.warns(Notice, match=f"scene.nc: wavelengths of .* without a unit are taken as {words}"):
        assert read_cube(save(tmp_path / "scene.nc", variables))["wavelength"].values.tolist() == NM


def test_wavelengths_beside_a_count_of_the_bands(tmp_path: Path, values: np.ndarray) -> None:
    variables = {"r": (("band", "y", "x"), values), "band": ("band", [1, 2, 3, 4]), "wavelength": ("band", NM, {"units": "nm"})}
    assert read_cube(save(tmp_path / "scene.nc", variables))["wavelength"].values.tolist() == NM


@pytest.mark.parametrize("count", [{}, {"band": ("band", np.arange(1, 32))}, {"band": ("band", [f"b{n}" for n in range(31)])}])
@pytest.mark.filterwarnings("ignore:scene.nc. the wavelengths only count the bands")
def test_thirty_one_bands_without_wavelengths(tmp_path: Path, count: Variables) -> None:
    path = save(tmp_path / "scene.nc", {"r": (("band", "y", "x"), np.ones((31, 5, 8), np.float32)), **count})
    with pytest.warns(Notice, match="31 bands are taken as 400-700 nm"):
        assert tuple(read_cube(path)["wavelength"].values) == WAVELENGTHS


def test_bands_out_of_order_are_sorted(tmp_path: Path, values: np.ndarray) -> None:
    variables = {"r": (DIMS, values[::-1]), "wavelength": ("wavelength", NM[::-1], {"units": "nm"})}
    with pytest.warns(Notice, match="not in the order of their wavelengths"):
        cube = read_cube(save(tmp_path / "scene.nc", variables))
    np.testing.assert_array_equal(cube, values)
    assert cube["wavelength"].values.tolist() == NM


def test_a_cube_among_other_variables(tmp_path: Path, values: np.ndarray) -> None:
    variables = {
        "cube": (DIMS, values),
        "noise": (DIMS, values),
        "mask": (("y", "x"), np.ones((5, 8), bool)),
        "time": ("time", [1.0], {"units": "nanoseconds since then"}),
        "wavelength": ("wavelength", NM, {"units": "nm"}),
    }
    np.testing.assert_array_equal(read_cube(save(tmp_path / "scene.nc", variables)), values)


def test_packed_values_are_unpacked_and_missing_ones_stay_missing(tmp_path: Path, values: np.ndarray) -> None:
    values[1, 2, 3] = np.nan
    path = tmp_path / "scene.nc"
    packing = {"r": {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -1, "zlib": True}}
    save(path, {"r": (DIMS, values), "wavelength": ("wavelength", NM, {"units": "nm"})}, encoding=packing)
    np.testing.assert_allclose(read_cube(path), values, atol=6e-5)


@pytest.mark.parametrize("version", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_the_classic_versions_are_read(tmp_path: Path, values: np.ndarray, version: str) -> None:
    variables = {"r": (("y", "x", "wavelength"), values.transpose(1, 2, 0)), "wavelength": ("wavelength", NM, {"units": "nm"})}
    path = save(tmp_path / "scene.nc", variables, engine="scipy", format=version)
    assert looks_like_cube(path)
    cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)
    assert cube.dtype == np.float32


def test_files_of_old_libraries_bear_no_mark(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.nc", make_cube(values, NM))
    with h5py.File(tmp_path / "scene.nc", "a") as file:
        del file.attrs["_NCProperties"]
    np.testing.assert_array_equal(read_cube(tmp_path / "scene.nc"), values)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"a": (DIMS, np.ones((4, 5, 8))), "b": (DIMS, np.ones((4, 5, 8)))},
            r"several variables could be the cube \(a, b\); name the one meant 'cube'",
        ),
        ({"a": (("z", "y", "x"), np.ones((4, 5, 8)))}, r"none of its variables has three axes, .* \(it holds a \(z, y, x\)\)"),
        ({"a": (("wavelength", "y"), np.ones((4, 5)))}, r"none of its variables .* \(it holds a \(wavelength, y\)\)"),
        ({"a": (DIMS, np.full((4, 5, 8), "x"))}, r"none of its variables has three axes, real numbers"),
        ({}, r"\(it holds none at all\)"),
        ({"a": (DIMS, np.ones((4, 5, 8)))}, "a cube of 4 bands comes without wavelengths"),
        (
            {"a": (DIMS, np.ones((2, 5, 8))), "wavelength": ("wavelength", [20000.0, 25000.0], {"units": "cm-1"})},
            "the variable 'wavelength': wavelength units 'cm-1' are not known; use nanometers",
        ),
        (
            {"a": (DIMS, np.ones((2, 5, 8))), "wavelength": ("wavelength", [500.0, 500.0], {"units": "nm"})},
            "wavelengths must be positive and ascend",
        ),
        (
            {
                "a": (("z", "y", "x"), np.ones((2, 5, 8))),
                **{
                    axis: (axis, np.arange(1.0, length + 1), {"units": "um"})
                    for axis, length in zip("zyx", (2, 5, 8), strict=True)
                },
            },
            "unclear which of z, y, x are the wavelengths of 'a'; name these 'wavelength'",
        ),
        (
            {
                "a": (DIMS, np.ones((2, 5, 8)), {"quantity": "radiance", "scale": "big"}),
                "wavelength": ("wavelength", [500.0, 510.0], {"units": "nm"}),
            },
            "'scale' or 'attributes' cannot be understood",
        ),
    ],
)
def test_files_without_a_usable_cube(tmp_path: Path, variables: Variables, sentence: str) -> None:
    path = save(tmp_path / "scene.nc", variables)
    with pytest.raises(InputError, match=f"^scene.nc: .*{sentence}"):
        read_cube(path)


def test_cdf_5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene.nc").write_bytes(b"CDF\x05" + bytes(100))
    with pytest.raises(InputError, match=r"^scene.nc: this is netCDF of the kind CDF-5.* nccopy -k nc4"):
        read_cube(tmp_path / "scene.nc")


def test_a_heap_without_end() -> None:
    path = Path(__file__).parent / "cases" / "nc_heap_without_end.nc"
    # In a process of its own, since nothing ends HDF5's loop from within.
    script = f"from napari_drcr import read_cube; read_cube({str(path)!r})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "InputError: nc_heap_without_end.nc: the file is damaged" in ended.stderr
    assert ended.stderr.endswith("(the sizes in the heap at byte 2048 contradict each other).\n")


@pytest.mark.parametrize(("place", "size"), [(-1, 0), (8, 2**64 - 1), (8, 1), (24, 2**64 - 16), (24, 2**64 - 24)])
def test_sizes_in_a_heap_are_checked(tmp_path: Path, values: np.ndarray, place: int, size: int) -> None:
    path = tmp_path / "scene.nc"
    write_cube(path, make_cube(values, NM))
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    if place < 0:  # the object that is what is left free
        place = 16
        while any(whole[heap + place : heap + place + 2]):
            place += 16 + -(-int.from_bytes(whole[heap + place + 8 : heap + place + 16], "little") // 8) * 8
        place += 8
    whole[heap + place : heap + place + 8] = size.to_bytes(8, "little")
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"^scene.nc: .*the sizes in the heap at byte \d+ contradict each other"):
        read_cube(path)


def test_a_block_shorter_than_its_checksum(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "scene.nc"
    encoding = {"r": {"fletcher32": True, "chunksizes": (4, 5, 8)}}
    variables = {"r": (DIMS, values), "wavelength": ("wavelength", NM, {"units": "nm"})}
    save(path, variables, encoding=encoding)
    np.testing.assert_array_equal(read_cube(path), values)
    with h5py.File(path) as file:
        size = file["r"].id.get_chunk_info(0).size
    whole = path.read_bytes()
    blocks = whole.index(b"TREE\x01") + 24  # the keys of a tree of blocks begin with their sizes
    assert whole[blocks : blocks + 4] == size.to_bytes(4, "little")
    path.write_bytes(whole[:blocks] + b"\2\0\0\0" + whole[blocks + 4 :])
    with pytest.raises(InputError, match=r"^scene.nc: .*a block of 'r' is shorter than its checksum"):
        read_cube(path)


@pytest.mark.parametrize("version", ["4", "3"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, values: np.ndarray, version: str, kept: float) -> None:
    path = tmp_path / "scene.nc"
    if version == "4":
        write_cube(path, make_cube(values, NM))
    else:
        variables = {"wavelength": ("wavelength", NM, {"units": "nm"}), "r": (DIMS, values)}
        save(path, variables, engine="scipy", format="NETCDF3_64BIT")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"^scene.nc: the file is damaged, truncated or not what its name says") as failure:
        read_cube(path)
    assert "\n" not in str(failure.value)
