"""MATLAB files: ours, and those of MATLAB itself, scipy and plain h5py. Images are oblong, so that a transpose shows."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import _matlab5, read_cube, write_cube

BANDS, HEIGHT, WIDTH = 31, 5, 8
NM = np.array(WAVELENGTHS)


@pytest.fixture
def values() -> np.ndarray:
    """A cube (bands, y, x) with a different value everywhere."""
    return np.random.default_rng(0).random((BANDS, HEIGHT, WIDTH), dtype=np.float32)


def save_hdf5(path: Path, marks: bool = False, **variables: Any) -> Path:
    """What h5py alone writes, or, with `marks`, what MATLAB's save -v7.3 makes of the same axes."""
    with h5py.File(path, "w", userblock_size=512 if marks else 0) as file:
        for name, data in variables.items():
            dataset = file.create_dataset(name, data=data)
            if marks:
                dataset.attrs["MATLAB_class"] = np.bytes_(
                    {"float32": "single", "float64": "double"}.get(str(dataset.dtype), "int16")
                )
    return path


def test_a_cube_comes_back_as_it_was(tmp_path: Path, values: np.ndarray) -> None:
    attrs = {
        "model": "photo",
        "divisor": np.float32(0.5),
        "versions": {"torch": "2.6"},
        "fwhm": np.full(BANDS, 10.0),
        "norm_factor": 3.5,
    }
    cube = make_cube(values, WAVELENGTHS, quantity="radiance", scale=4095, illuminant="D65 daylight, 20 °C", attrs=attrs)
    write_cube(tmp_path / "scene.mat", cube)
    back = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(back, values)
    np.testing.assert_array_equal(back["wavelength"], NM)
    assert back.dtype == np.float32
    assert back.name == "scene"
    assert back.attrs == {
        **attrs,
        "fwhm": [10.0] * BANDS,
        "quantity": "radiance",
        "scale": 4095.0,
        "illuminant": cube.illuminant,
    }


def test_a_cube_without_further_knowledge_comes_back_so(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.mat", make_cube(values[:4].astype(np.float64), [450.5, 500, 600, 1000]))
    back = read_cube(tmp_path / "scene.mat")
    assert back.attrs == {"quantity": "unknown", "scale": 1.0, "illuminant": None}
    assert back["wavelength"].values.tolist() == [450.5, 500, 600, 1000]
    np.testing.assert_array_equal(back, values[:4])


def test_our_files_are_what_matlab_loads(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "scene.mat"
    write_cube(path, make_cube(values, WAVELENGTHS, quantity="reflectance"))
    raw = path.read_bytes()
    assert raw.startswith(b"MATLAB 7.3 MAT-file, ")
    assert raw[:116].rstrip().endswith(b"HDF5 schema 1.00 .")
    assert raw[:116].isascii()
    assert raw[116:124] == bytes(8)
    assert raw[124:128] == b"\x00\x02IM"
    assert raw[128:512] == bytes(384)
    assert raw[512:520] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert file["cube"].shape == (BANDS, WIDTH, HEIGHT)
        assert file["bands"].shape == (BANDS, 1)
        classes = {name: file[name].attrs["MATLAB_class"] for name in file}
        assert classes["cube"] == b"single"
        assert classes["bands"] == classes["scale"] == b"double"
        assert classes["quantity"] == b"char"
        assert file["quantity"].attrs["MATLAB_int_decode"] == 2
        assert file["quantity"].dtype == np.uint16
        assert bytes(file["quantity"][:, 0].astype(np.uint8)) == b"reflectance"
        # MATLAB knows attributes of fixed length only.
        assert h5py.h5a.open(file["cube"].id, b"MATLAB_class").get_type().get_size() == len("single")


def test_a_file_as_arad_has_it(tmp_path: Path, values: np.ndarray) -> None:
    path = save_hdf5(
        tmp_path / "ARAD_1K_0901.mat", True, cube=values.transpose(0, 2, 1), bands=NM[:, None], norm_factor=[[81.25]]
    )
    cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)
    assert cube.attrs["norm_factor"] == 81.25
    assert cube.attrs["quantity"] == "unknown"


def test_a_matlab_array_with_the_bands_first(tmp_path: Path, values: np.ndarray) -> None:
    path = save_hdf5(tmp_path / "scene.mat", True, cube=values.transpose(2, 1, 0), bands=NM[:, None])
    with pytest.warns(Notice, match=r"scene.mat: the axes of 'cube' \(8 x 5 x 31\) are taken as \(band, y, x\)"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)


@pytest.mark.parametrize(("order", "words"), [((0, 2, 1), "band, x, y"), ((1, 2, 0), "y, x, band")])
def test_hdf5_from_python_says_what_was_assumed(tmp_path: Path, values: np.ndarray, order: tuple[int, ...], words: str) -> None:
    path = save_hdf5(tmp_path / "scene.mat", cube=values.transpose(order), bands=NM[None])
    with pytest.warns(Notice, match=f"without MATLAB's marks .* taken as .{words}"):
        cube = read_cube(path)
    np.testing.assert_array_equal(cube, values)


@pytest.mark.parametrize("name", ["bands", "wavelengths", "wavelength"])
def test_version_5_from_scipy(tmp_path: Path, values: np.ndarray, name: str) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), name: NM + 5, "norm_factor": 2.0})
    cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(cube["wavelength"], NM + 5)
    assert cube.attrs["norm_factor"] == 2.0


def test_version_5_keeps_our_labels_when_matlab_saves_the_file_again(tmp_path: Path, values: np.ndarray) -> None:
    labels = {"quantity": "reflectance", "scale": 100.0, "illuminant": "A", "attributes": '{"model": "photo"}'}
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": NM, **labels}, do_compression=True)
    cube = read_cube(tmp_path / "scene.mat")
    assert cube.attrs == {"quantity": "reflectance", "scale": 100.0, "illuminant": "A", "model": "photo"}


def test_version_5_with_the_bands_first(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values, "bands": NM})
    with pytest.warns(Notice, match=r"taken as \(band, y, x\)"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube, values)


def test_another_tools_scale_is_not_taken_for_ours(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": NM, "scale": np.arange(7.0)})
    assert read_cube(tmp_path / "scene.mat").attrs["scale"] == 1.0


def test_thirty_one_bands_without_wavelengths(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0)})
    with pytest.warns(Notice, match="31 bands are taken as 400-700 nm"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube["wavelength"], NM)


def test_wavelengths_that_only_count_the_bands(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": np.arange(1, 32)})
    with pytest.warns(Notice) as notices:
        cube = read_cube(tmp_path / "scene.mat")
    assert [str(notice.message).split(":")[0] for notice in notices] == ["scene.mat", "No wavelengths are given"]
    np.testing.assert_array_equal(cube["wavelength"], NM)


def test_wavelengths_that_fit_no_axis(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": [450.0, 550.0, 650.0]})
    with pytest.warns(Notice) as notices:
        read_cube(tmp_path / "scene.mat")
    assert "its 3 wavelengths fit no axis of 'cube' (5 x 8 x 31) and are left out" in str(notices[0].message)


def test_wavelengths_in_micrometres(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": NM / 1000})
    with pytest.warns(Notice, match="taken as micrometres"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube["wavelength"], NM)


def test_bands_out_of_order_are_sorted(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values[::-1].transpose(1, 2, 0), "bands": NM[::-1]})
    with pytest.warns(Notice, match="scene.mat: its bands are not in the order of their wavelengths and have been sorted"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(cube["wavelength"], NM)


def test_an_image_as_high_as_there_are_bands(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((31, 31, 8), dtype=np.float32)
    scipy.io.savemat(tmp_path / "scene.mat", {"cube": values.transpose(1, 2, 0), "bands": NM})
    with pytest.warns(Notice, match=r"several axes of 'cube' \(31 x 8 x 31\) are 31 long; they are taken as \(y, x, band\)"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube, values)


def test_icvl_counts_are_divided_out_and_recorded(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 4096, (BANDS, HEIGHT, WIDTH)).astype(np.float64)
    path = save_hdf5(tmp_path / "icvl.mat", True, rad=counts.transpose(0, 2, 1), bands=NM[:, None])
    with pytest.warns(Notice, match=r"divided by 4095"):
        cube = read_cube(path)
    np.testing.assert_allclose(cube, counts / 4095, rtol=1e-6)
    assert cube.attrs["scale"] == 4095


def test_radiance_that_is_already_divided_stays(tmp_path: Path, values: np.ndarray) -> None:
    cube = read_cube(save_hdf5(tmp_path / "icvl.mat", True, rad=values.transpose(0, 2, 1), bands=NM[:, None]))
    np.testing.assert_array_equal(cube, values)
    assert cube.attrs["scale"] == 1


def test_the_only_variable_of_three_axes_is_the_cube(tmp_path: Path, values: np.ndarray) -> None:
    counts = (values * 1000).astype(np.int16)
    scipy.io.savemat(
        tmp_path / "scene.mat", {"ref": counts.transpose(1, 2, 0), "bands": NM, "rgb_name": "x", "mask": np.eye(3)}
    )
    with pytest.warns(Notice, match="the cube is taken from 'ref'"):
        cube = read_cube(tmp_path / "scene.mat")
    np.testing.assert_array_equal(cube, counts)
    assert cube.dtype == np.float32


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"one": np.zeros((4, 5, 31)), "two": np.zeros((4, 5, 31))}, r"several variables could be the cube \(one, two\)"),
        ({"mask": np.eye(3), "s": {"a": 1.0}}, r"none of its variables is a cube .*\(mask: 3 x 3 double, s: 1 x 1 struct\)"),
        ({"cube": np.zeros((4, 5))}, "'cube' should be a cube of three axes of real numbers, but it is 4 x 5 double"),
        ({"cube": {"data": 1.0}}, "but it is 1 x 1 struct"),
        ({"cube": np.array([1, "a"], dtype=object)}, "but it is 1 x 2 cell"),
        ({"cube": np.zeros((4, 5, 31), dtype=complex)}, "but it is 4 x 5 x 31 complex"),
        ({"cube": np.zeros((4, 0, 31))}, "but it is 4 x 0 x 31 empty"),
        (
            {"cube": np.zeros((4, 5, 8))},
            r"unclear which axis of 'cube' \(4 x 5 x 8\) holds the bands: no wavelengths are given",
        ),
        (
            {"cube": np.zeros((4, 5, 8)), "bands": NM},
            "31 wavelengths are given, and neither the first nor the last axis is 31 long",
        ),
        ({"cube": np.zeros((4, 31, 8)), "bands": NM}, "neither the first nor the last axis is 31 long"),
        ({"cube": np.zeros((4, 5, 31)), "bands": np.full(31, 550)}, "wavelengths must be positive and ascend"),
        ({"cube": np.zeros((4, 5, 31)), "bands": NM, "quantity": "radiance", "scale": "big"}, "'scale' or 'attributes' cannot"),
    ],
)
def test_version_5_files_without_a_usable_cube(tmp_path: Path, variables: dict[str, Any], sentence: str) -> None:
    scipy.io.savemat(tmp_path / "scene.mat", variables)
    with pytest.raises(InputError, match=f"^scene.mat: .*{sentence}"):
        read_cube(tmp_path / "scene.mat")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((31, 5, 4), dtype=complex), "31 x 5 x 4 complex"),
        (np.zeros((31, 0, 4)), "empty"),
        (np.zeros((31, 4), dtype=bool), "31 x 4 bool"),
        (np.array([["a"], ["b"]], dtype=object), "2 x 1 object"),
    ],
)
def test_hdf5_files_without_a_usable_cube(tmp_path: Path, data: np.ndarray, sentence: str) -> None:
    with pytest.raises(
        InputError, match=f"^scene.mat: 'cube' should be a cube of three axes of real numbers, but it is {sentence}"
    ):
        read_cube(save_hdf5(tmp_path / "scene.mat", cube=data))


def test_a_heap_without_end_in_version_7_3(tmp_path: Path, values: np.ndarray) -> None:
    path = save_hdf5(tmp_path / "scene.mat", cube=values)
    with h5py.File(path, "a") as file:
        file["cube"].attrs["MATLAB_class"] = "single"  # a text of any length, which MATLAB itself does not write
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    whole[heap + 24 : heap + 32] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"^scene.mat: .*the sizes in the heap at byte \d+ contradict each other"):
        read_cube(path)


def test_a_struct_in_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scene.mat", "w") as file:
        file.create_group("#refs#")
        file.create_group("cube").attrs["MATLAB_class"] = np.bytes_("struct")
    with pytest.raises(InputError, match="but it is struct"):
        read_cube(tmp_path / "scene.mat")


def test_an_hdf5_file_with_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of its variables is a cube .*\(none at all\)"):
        read_cube(save_hdf5(tmp_path / "scene.mat"))


def test_netcdf_is_not_mistaken_for_matlab(tmp_path: Path, values: np.ndarray) -> None:
    write_cube(tmp_path / "scene.nc", make_cube(values, WAVELENGTHS))
    np.testing.assert_array_equal(read_cube((tmp_path / "scene.nc").rename(tmp_path / "scene.mat")), values)


def element(number: int, data: bytes, order: str = "<") -> bytes:
    """An element of a version 5 file: small ones stand in their tag."""
    if len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | number) + data.ljust(4, b"\0")
    return struct.pack(f"{order}II", number, len(data)) + data + bytes(-len(data) % 8)


def save_version_5(path: Path, *variables: bytes, order: str = "<") -> Path:
    version = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + version + b"".join(variables))
    return path


def variable_5(name: str, number: int, stored: int, values: np.ndarray, order: str = "<") -> bytes:
    """A variable of the class `number`, its values stored as the type `stored`."""
    data = values.astype(values.dtype.newbyteorder(order)).tobytes("F")
    parts = [
        element(6, struct.pack(f"{order}II", number, 0), order),
        element(5, struct.pack(f"{order}{values.ndim}i", *values.shape), order),
        element(1, name.encode(), order),
        element(stored, data, order),
    ]
    return struct.pack(f"{order}II", 14, sum(map(len, parts))) + b"".join(parts)


def deflated(variable: bytes) -> bytes:
    stored = zlib.compress(variable)
    return struct.pack("<II", 15, len(stored)) + stored


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("do_compression", [False, True])
def test_version_5_as_scipy_reads_it(tmp_path: Path, dtype: str, do_compression: bool) -> None:
    values = np.random.default_rng(0).integers(0, 100, (HEIGHT, WIDTH, BANDS)).astype(dtype)
    variables = {
        "cube": values,
        "bands": NM,
        "quantity": "radiance",
        "scale": 2.5,
        "attributes": '{"note": "two words"}',
        "s": {"a": {"b": [1, 2]}},
        "c": np.array([1, "a"], dtype=object),
        "mask": np.eye(3, dtype=bool),
        "nothing": np.zeros((0, 3)),
        "rows": np.array(["ab", "cd"]),
        "waves": np.ones((2, 3)) * 1j,
    }
    scipy.io.savemat(tmp_path / "scene.mat", variables, do_compression=do_compression)
    kinds = {"s": "struct", "c": "cell", "mask": "logical", "nothing": "empty", "rows": "char", "waves": "complex"}
    with (tmp_path / "scene.mat").open("rb") as file:
        found = {variable.name: variable for variable in _matlab5.variables(file)}
        assert list(found) == list(variables)
        assert {name: found[name].kind for name in kinds} == kinds
        for name, values in scipy.io.loadmat(tmp_path / "scene.mat", variable_names=["cube", "bands", "scale"]).items():
            if name in found:
                read = found[name].load()
                assert isinstance(read, np.ndarray)
                assert read.dtype == values.dtype
                np.testing.assert_array_equal(read, values)
        assert found["attributes"].load() == variables["attributes"]
        assert found["rows"].load() == "abcd"
    assert read_cube(tmp_path / "scene.mat").attrs == {
        "quantity": "radiance",
        "scale": 2.5,
        "illuminant": None,
        "note": "two words",
    }


@pytest.mark.parametrize(("number", "stored", "dtype"), [(6, 2, "u1"), (6, 3, "i2"), (6, 7, "f4"), (7, 4, "u2"), (13, 2, "u1")])
def test_version_5_stores_numbers_in_smaller_types(tmp_path: Path, number: int, stored: int, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 100, (HEIGHT, WIDTH, BANDS)).astype(dtype)
    plain, nm = variable_5("cube", number, stored, values), variable_5("bands", 6, 9, NM[None])
    for variable in (plain, deflated(plain)):
        cube = read_cube(save_version_5(tmp_path / "scene.mat", variable, nm))
        np.testing.assert_array_equal(cube, values.transpose(2, 0, 1))


def test_version_5_of_the_other_byte_order(tmp_path: Path, values: np.ndarray) -> None:
    text = np.frombuffer("20 °C".encode("utf-16-le"), "<u2")[None]
    variables = [
        variable_5("cube", 7, 7, values.transpose(1, 2, 0), ">"),
        variable_5("bands", 6, 9, NM[None], ">"),
        variable_5("quantity", 4, 16, np.frombuffer(b"radiance", np.uint8)[None], ">"),
        variable_5("illuminant", 4, 17, text, ">"),
    ]
    cube = read_cube(save_version_5(tmp_path / "scene.mat", *variables, order=">"))
    np.testing.assert_array_equal(cube, values)
    assert cube.attrs == {"quantity": "radiance", "scale": 1.0, "illuminant": "20 °C"}


def test_one_changed_byte_of_version_5() -> None:
    with pytest.raises(InputError, match=r"the file is damaged.*'cube', 9 x 11 x 31 single, has 12276 bytes of the type 0"):
        read_cube(Path(__file__).parent / "cases" / "v5_values_of_no_type.mat")


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        (variable_5("cube", 6, 9, np.ones((2, 2, 31)))[:-8], "should end at"),
        (deflated(variable_5("cube", 6, 9, np.ones((2, 2, 31)))[:-8]), "ends too early"),
        (deflated(variable_5("cube", 6, 9, np.ones((2, 2, 31))) + b"more"), "does not end where it should"),
        (deflated(variable_5("cube", 6, 9, np.ones((2, 2, 31))))[:-1] + b"?", "incorrect data check"),
        (variable_5("cube", 6, 9, np.ones((3, 2, 31))).replace(struct.pack("<I", 3), struct.pack("<I", 4)), "has 1488 bytes"),
        (variable_5("cube", 6, 13, np.ones((2, 2, 31), "u8")), "bytes of the type 13"),
        (variable_5("cube", 10, 4, np.ones((2, 2, 31), "u2")), "bytes of the type 4"),
        (variable_5("cube", 6, 9, np.ones((2, 2, 31, *[1] * 40))), "an element of the type 5 has 172 bytes"),
        (variable_5("n" * 5000, 6, 9, np.ones((2, 2, 31))), "an element of the type 1 has 5000 bytes"),
        (struct.pack("<II", 9, 8) + bytes(8), "stands no variable, but type 9"),
        (struct.pack("<II", 14, 8) + struct.pack("<II", 6, 80), "80 bytes"),
        (struct.pack("<II", 15, 16) + zlib.compress(struct.pack("<II", 14, 2**32 - 1)), "with 4294967295 bytes"),
        (b"end", "ends too early"),
    ],
)
def test_damaged_elements_of_version_5(tmp_path: Path, variable: bytes, sentence: str) -> None:
    path = save_version_5(tmp_path / "scene.mat", variable)
    with pytest.raises(InputError, match=f"^scene.mat: the file is damaged.*{sentence}"):
        read_cube(path)


def test_a_bomb_of_version_5_is_not_inflated(tmp_path: Path) -> None:
    head = variable_5("cube", 9, 2, np.ones((1, 1, 8), np.uint8))[8:-16]
    size = 2**31 - 1
    head = head.replace(struct.pack("<iii", 1, 1, 8), struct.pack("<iii", 1, size, 1)) + struct.pack("<II", 2, size)
    path = save_version_5(tmp_path / "scene.mat", deflated(struct.pack("<II", 14, len(head) + size) + head + bytes(2**22)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="stands no variable"):
            read_cube(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", ["7.3", "5"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, values: np.ndarray, version: str, kept: float) -> None:
    path = tmp_path / "scene.mat"
    if version == "5":
        scipy.io.savemat(path, {"cube": values.transpose(1, 2, 0), "bands": NM})
    else:
        write_cube(path, make_cube(values, WAVELENGTHS))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"^scene.mat: the file is damaged, truncated or not what its name says") as failure:
        read_cube(path)
    assert "\n" not in str(failure.value)


@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
def test_damaged_bytes_of_version_7_3(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "scene.mat"
    write_cube(path, make_cube(values, WAVELENGTHS))
    whole = path.read_bytes()
    refused = []
    for start in range(512, 2048, 16):
        path.write_bytes(whole[:start] + b"\xff" * 8 + whole[start + 8 :])
        try:
            read_cube(path)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(sentence.startswith("scene.mat: ") for sentence in refused)
