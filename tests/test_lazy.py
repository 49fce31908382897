"""Cubes that stay in their files: read no further than asked for, and the same as cubes in memory."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import napari
import numpy as np
import pytest
import scipy.io
import spectral.io.envi as envi
import tifffile
import xarray as xr
from napari.layers import Image
from PIL import Image as Picture
from pytestqt.exceptions import capture_exceptions
from qtpy.QtWidgets import QApplication

from napari_drcr import _readers
from napari_drcr.analysis.spectra import spectrum_at
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.cubes.lazy import OpenedFile, RawValues, StoredValues, pieces, to_be_shown
from napari_drcr.cubes.rendering import render_srgb
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import read_cube, write_cube
from napari_drcr.widgets.viewer import layers
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, layer_to_cube

NM = np.arange(400, 1200, 2.0)
MakeViewer = Callable[..., napari.Viewer]


class Recorder:
    """An array on some disk, say, that remembers how much of it was read."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, ...] | None = None) -> None:
        self.values, self.chunks, self.read = values, chunks, 0
        self.shape, self.dtype, self.ndim, self.size = values.shape, values.dtype, values.ndim, values.size

    def __getitem__(self, key: Any) -> np.ndarray:
        self.read += self.values[key].size
        return self.values[key]


def noise(*shape: int, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 4000, shape).astype(dtype)


@pytest.fixture
def tall() -> np.ndarray:
    """400 bands of an oblong image whose pieces have some 20 rows."""
    return np.broadcast_to(noise(400, 150, 1), (400, 150, 500))


def ours(folder: Path, suffix: str) -> Path:
    path = folder / f"scene{suffix}"
    attrs = {"model": "photo", "fwhm": [10.0] * 31}
    cube = make_cube(noise(31, 5, 8) / 4000, WAVELENGTHS, quantity="radiance", scale=2.0, illuminant="D65", attrs=attrs)
    write_cube(path, cube)
    return path


def foreign_envi(folder: Path, interleave: str) -> Path:
    """12-bit counts of reflectance, of the other byte order, with two spectrometers that overlap."""
    path = folder / "scene.hdr"
    nm = [400, 500, 600, 550, 650, 700]
    metadata = {"wavelength": nm, "wavelength units": "nm", "reflectance scale factor": 4000, "fwhm": [n / 50 for n in nm]}
    envi.save_image(str(path), noise(5, 8, 6), metadata=metadata, interleave=interleave, byteorder="big")
    return path


def foreign_netcdf(folder: Path) -> Path:
    """Compressed and packed, bands last, and one value missing."""
    path = folder / "scene.nc"
    values = noise(5, 8, 6) / 4000
    values[2, 3, 4] = np.nan
    data = xr.Dataset({"cube": (("y", "x", "wavelength"), values)}, {"wavelength": ("wavelength", 400 + 50 * np.arange(6.0))})
    data["wavelength"].attrs["units"] = "nm"
    packed = {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -1, "zlib": True, "chunksizes": (2, 3, 6)}
    data.to_netcdf(path, engine="h5netcdf", encoding={"cube": packed})
    return path


def foreign_matlab(folder: Path) -> Path:
    path = folder / "scene.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in {"cube": noise(31, 8, 5), "bands": np.array(WAVELENGTHS)[:, None]}.items():
            file.create_dataset(name, data=values, chunks=True, compression="gzip").attrs["MATLAB_class"] = np.bytes_("uint16")
    return path


def foreign_tiff(folder: Path) -> Path:
    path = folder / "scene.tif"
    labels = {"Labels": [f"{nm:g} nm" for nm in reversed(WAVELENGTHS)]}
    tifffile.imwrite(path, noise(31, 5, 8), imagej=True, metadata=labels)
    return path


LEFT_IN_THE_FILE: dict[str, Callable[[Path], Path]] = {
    **{f"our {suffix}": lambda folder, suffix=suffix: ours(folder, suffix) for suffix in (".mat", ".hdr", ".nc", ".tif")},
    **{f"ENVI {order}": lambda folder, order=order: foreign_envi(folder, order) for order in ("bsq", "bil", "bip")},
    "netCDF": foreign_netcdf,
    "MATLAB": foreign_matlab,
    "TIFF": foreign_tiff,
}


@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
@pytest.mark.parametrize("make", LEFT_IN_THE_FILE.values(), ids=LEFT_IN_THE_FILE)
def test_a_lazy_cube_is_the_cube(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    eager, lazy = read_cube(path), read_cube(path, lazy=True)
    assert lazy.chunks is not None
    assert lazy.dtype == np.float32
    xr.testing.assert_identical(lazy.compute(), eager)
    np.testing.assert_array_equal(spectrum_at(lazy, 3, 7), eager[:, 3, 7])
    shown = to_be_shown(lazy)
    for key in (2, (2, 3), (-1, slice(1, 4)), (slice(1, 5, 2), 3, slice(2, 7)), (slice(None), -2, 3), ([4, 0, 2], 3)):
        np.testing.assert_array_equal(shown[key], eager.values[key])
    np.testing.assert_array_equal(np.stack(list(shown)), eager)
    with pytest.raises(IndexError):
        shown[len(shown)]
    for part in (
        {"wavelength": [4, 0, 2], "x": 3},
        {"y": [3, 1], "x": [0, 7, 2]},
        {"wavelength": slice(None, None, -2), "y": -1},
    ):
        np.testing.assert_array_equal(lazy.isel(part), eager.isel(part))


@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
@pytest.mark.parametrize("format", ["MATLAB 5", "MATLAB counts", "netCDF 3", "compressed TIFF", "CAVE"])
def test_what_cannot_stay_in_its_file_is_read(tmp_path: Path, format: str) -> None:
    path, values, bands = tmp_path / "scene", noise(31, 5, 8), np.array(WAVELENGTHS)
    if format == "MATLAB 5":
        path = path.with_suffix(".mat")
        scipy.io.savemat(path, {"cube": values.transpose(1, 2, 0), "bands": bands})
    elif format == "MATLAB counts":
        path = path.with_suffix(".mat")
        with h5py.File(path, "w") as file:
            file["rad"], file["bands"] = values, bands
    elif format == "netCDF 3":
        path = path.with_suffix(".nc")
        make_cube(values, bands, name="cube").drop_attrs().to_netcdf(path, engine="scipy")
    elif format == "compressed TIFF":
        path = path.with_suffix(".tif")
        tifffile.imwrite(path, values, photometric="minisblack", compression="zlib")
    else:
        path = tmp_path / "scene_ms"
        path.mkdir()
        for number, band in enumerate(values, start=1):
            Picture.fromarray(band).save(path / f"scene_ms_{number:02}.png")
    lazy = read_cube(path, lazy=True)
    assert lazy.chunks is None
    xr.testing.assert_identical(lazy, read_cube(path))


def test_counts_are_still_told_by_their_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scene.mat", "w") as file:
        file["rad"], file["bands"] = noise(31, 5, 8), np.array(WAVELENGTHS)
    with pytest.warns(Notice) as notices:
        cube = read_cube(tmp_path / "scene.mat", lazy=True)
    assert any("taken as 12-bit counts" in str(notice.message) for notice in notices)
    assert cube.max() <= 1


@pytest.mark.parametrize("name", ["scene.mat", "scene.nc", "scene.tif"])
def test_a_damaged_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = ours(tmp_path, Path(name).suffix)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=f"{name}: the file is damaged"):
        read_cube(path, lazy=True)


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"else")
    # As if some time had passed, which file systems may not tell otherwise.
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10_000_000))


def replace_by_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(10))
    other.replace(path)


@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
@pytest.mark.parametrize("change", [shorten, grow, overwrite])
@pytest.mark.parametrize("make", LEFT_IN_THE_FILE.values(), ids=LEFT_IN_THE_FILE)
def test_a_file_that_was_changed_is_not_read_on(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None]
) -> None:
    path = make(tmp_path)
    cube = read_cube(path, lazy=True)
    shown = to_be_shown(cube)
    assert shown[0].max() > 0
    data = path.with_suffix(".img") if path.suffix == ".hdr" else path
    change(data)
    sentence = rf"^{data.name} has changed since it was opened; open it again\.$"
    for read in (lambda: shown[2], lambda: shown[:, 2, 3], lambda: shown[::2, ::3, ::5], cube.compute, lambda: shown[0]):
        with pytest.raises(InputError, match=sentence):
            read()


@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps open files where they are")
@pytest.mark.parametrize("change", [Path.unlink, replace_by_another])
@pytest.mark.parametrize("make", LEFT_IN_THE_FILE.values(), ids=LEFT_IN_THE_FILE)
def test_a_file_that_lost_its_name_is_still_read(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None]
) -> None:
    path = make(tmp_path)
    eager, lazy = read_cube(path), read_cube(path, lazy=True)
    change(path.with_suffix(".img") if path.suffix == ".hdr" else path)
    np.testing.assert_array_equal(lazy, eager)


def test_a_change_during_a_read_is_noticed(tmp_path: Path) -> None:
    path = ours(tmp_path, ".mat")

    class Slow(Recorder):
        def __getitem__(self, key: Any) -> np.ndarray:
            shorten(path)
            return super().__getitem__(key)

    values = StoredValues(Slow(noise(31, 5, 8)), file=OpenedFile(path))
    with pytest.raises(InputError, match="has changed"):
        values[2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_raw_values_are_read_like_an_array(tmp_path: Path, order: str) -> None:
    values = noise(6, 7, 50).astype(f"{order}f4")
    (tmp_path / "values").write_bytes(b"head" + values.tobytes())
    source = RawValues(OpenedFile(tmp_path / "values"), 4, (6, 7, 50), values.dtype)
    parts = (slice(None), slice(2, 3), slice(1, 6, 2), slice(5, 6), slice(3, 3), slice(-3, None))
    for key in itertools.product(parts, repeat=3):
        np.testing.assert_array_equal(source[key], values[key])
    with pytest.raises(ValueError, match="at the bytes 5 to 8405 of 8404"):
        RawValues(OpenedFile(tmp_path / "values"), 5, (6, 7, 50), values.dtype)


@pytest.mark.parametrize("suffix", [".mat", ".nc"])
def test_the_file_is_open_as_long_as_the_cube_lives(tmp_path: Path, suffix: str) -> None:
    path = ours(tmp_path, suffix)
    cube = read_cube(path, lazy=True)
    with pytest.raises(OSError, match=r"unable to lock|already open"):
        h5py.File(path, "r+")
    band = cube[3]
    del cube
    assert band.values.max() > 0
    del band
    gc.collect()
    h5py.File(path, "r+").close()


@pytest.mark.parametrize("suffix", [".mat", ".nc"])
def test_the_file_of_a_small_layer_is_closed(tmp_path: Path, suffix: str) -> None:
    path = ours(tmp_path, suffix)
    (described,) = _readers.read_layers(str(path))
    h5py.File(path, "r+").close()
    assert isinstance(described[0], np.ndarray)


def test_one_spectrum_of_400_bands_reads_one_piece_and_one_band_itself_alone(tall: np.ndarray) -> None:
    source = Recorder(tall)
    cube = make_cube(StoredValues(source).as_dask(), NM)
    np.testing.assert_array_equal(spectrum_at(cube, 77, 300), tall[:, 77, 300])
    assert source.read <= 400 * 20 * 500
    source.read = 0
    np.testing.assert_array_equal(to_be_shown(cube)[123], tall[123])
    assert source.read == 150 * 500
    assert to_be_shown(cube * 1).chunks  # other values, so a dask array is what there is


def test_pieces_consist_of_stored_blocks() -> None:
    def chunks(blocks: tuple[int, int, int], axes: tuple[int, int, int] = (0, 1, 2)) -> tuple[int, ...]:
        values = StoredValues(np.broadcast_to(np.uint8(0), (400, 3000, 3000)), axes, blocks)
        return values.as_dask().chunksize

    assert chunks((1, 16, 16)) == (400, 16, 624)
    assert chunks((1, 3000, 3000)) == (1, 3000, 3000)
    assert chunks((16, 1, 16), axes=(1, 0, 2))[1] % 16 == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_of_a_layer_are_looked_at_where_they_are(tmp_path: Path, dtype: type) -> None:
    mapped = np.memmap(tmp_path / "values", dtype=dtype, mode="w+", shape=(400, 6, 8))
    for values in (mapped, np.zeros((400, 6, 8), dtype)):
        layer = Image(values, metadata={"wavelengths": NM})
        assert np.shares_memory(layer_to_cube(layer).data, values)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, bool, np.float32])
def test_all_else_in_a_layer_is_read_as_needed(tall: np.ndarray, dtype: type) -> None:
    source = Recorder(tall.astype(dtype), chunks=(50, 10, 100))
    layer = Image(source, metadata={"wavelengths": NM}, contrast_limits=(0, 1))
    source.read = 0
    cube = layer_to_cube(layer)
    assert source.read == 0
    assert cube.dtype == np.float32
    np.testing.assert_array_equal(spectrum_at(cube, 77, 300), tall[:, 77, 300].astype(dtype))
    assert source.read <= 400 * 20 * 500


def test_lazy_arrays_of_a_layer_keep_their_chunks() -> None:
    values = da.from_array(noise(31, 6, 8), chunks=(31, 2, 4))
    for data in (values, xr.DataArray(values)):
        cube = layer_to_cube(Image(data, metadata={"wavelengths": WAVELENGTHS}, contrast_limits=(0, 1)))
        assert cube.data.chunksize == (31, 2, 4)
        assert cube.dtype == np.float32


def test_complex_values_are_refused_wherever_they_are() -> None:
    layer = Image(np.zeros((31, 6, 8)), metadata={"wavelengths": WAVELENGTHS})
    layer._data = Recorder(np.zeros((31, 6, 8), complex))
    with pytest.raises(InputError, match="real numbers"):
        layer_to_cube(layer)


def test_contrast_of_a_large_cube_needs_little_of_it(tmp_path: Path, tall: np.ndarray) -> None:
    _, properties, _ = cube_to_layer_data(make_cube(tall, NM))
    low, high = properties["contrast_limits"]
    source = Recorder(tall)
    mapped = np.memmap(tmp_path / "values", dtype=np.float32, mode="w+", shape=tall.shape)
    mapped[:] = tall
    for values in (StoredValues(source).as_dask(), da.from_array(tall, chunks=(1, 150, 500)).astype(np.float32), mapped):
        _, properties, _ = cube_to_layer_data(make_cube(values, NM))
        assert properties["contrast_limits"] == pytest.approx((low, high), rel=0.02)
    assert source.read < tall.size / 100


def test_viewer_shows_a_band_without_reading_the_others(make_napari_viewer: MakeViewer, tall: np.ndarray) -> None:
    source = Recorder(tall)
    data, properties, _ = cube_to_layer_data(make_cube(StoredValues(source).as_dask(), NM, name="scene"))
    viewer = make_napari_viewer()
    layer = viewer.add_image(data, **properties)
    source.read = 0
    viewer.dims.set_point(0, 500)
    np.testing.assert_array_equal(layer._slice.image.raw, tall[50])
    assert 0 < source.read <= 3 * 150 * 500
    layer.reset_contrast_limits()
    assert source.read < tall.size / 20
    copied = copy.deepcopy(layer.data)  # as napari does to duplicate a layer
    np.testing.assert_array_equal(copied[3], tall[3])


@pytest.mark.parametrize("suffix", [".mat", ".hdr", ".nc"])
def test_large_file_opens_saves_and_closes(
    make_napari_viewer: MakeViewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = ours(tmp_path, suffix)
    viewer = make_napari_viewer()
    (small,) = viewer.open(path, plugin="napari-drcr")
    assert isinstance(small.data, np.ndarray)
    monkeypatch.setattr(layers, "IN_MEMORY", 31 * 5 * 8 * 4 - 1)
    (large,) = viewer.open(path, plugin="napari-drcr")
    assert isinstance(large.data, StoredValues)
    assert large.metadata == small.metadata
    xr.testing.assert_identical(layer_to_cube(large).compute().rename(None), layer_to_cube(small).rename(None))
    saved = tmp_path / f"copy{suffix}"
    large.save(saved, plugin="napari-drcr")
    xr.testing.assert_identical(read_cube(saved).rename(None), read_cube(path).rename(None))


@pytest.mark.parametrize("suffix", [".mat", ".hdr", ".nc", ".tif"])
@pytest.mark.parametrize("chunks", [(31, 2, 8), (1, 5, 8), (10, 3, 3)], ids=["rows", "bands", "bricks"])
def test_a_lazy_cube_is_written_whole(tmp_path: Path, suffix: str, chunks: tuple[int, int, int]) -> None:
    values = noise(31, 5, 8)
    write_cube(tmp_path / f"scene{suffix}", make_cube(da.from_array(values, chunks=chunks), WAVELENGTHS))
    np.testing.assert_array_equal(read_cube(tmp_path / f"scene{suffix}"), values)


@pytest.mark.parametrize("chunks", [(31, 20, 80), (1, 50, 80), (10, 30, 30)], ids=["rows", "bands", "bricks"])
def test_a_lazy_cube_looks_like_the_cube(chunks: tuple[int, int, int]) -> None:
    values = noise(31, 50, 80, dtype=np.float32) / 4000
    cube = make_cube(values, WAVELENGTHS, quantity="reflectance")
    lazy = make_cube(da.from_array(values, chunks=chunks), WAVELENGTHS, quantity="reflectance")
    np.testing.assert_allclose(render_srgb(lazy), render_srgb(cube), atol=1e-6)


def test_pieces_of_an_array_are_rows_that_cover_it(tall: np.ndarray) -> None:
    found = list(pieces(make_cube(tall.astype(np.float32), NM)))
    assert len(found) == 8
    np.testing.assert_array_equal(np.concatenate([values for _, values in found], axis=1), tall)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_large_file_opens_and_gives_a_spectrum_in_little_memory(tmp_path: Path, interleave: str) -> None:
    bands, rows, columns = 400, 600, 640
    fields = {"samples": columns, "lines": rows, "bands": bands, "data type": 12, "interleave": interleave, "byte order": 0}
    metadata = {**fields, "wavelength": NM.tolist(), "wavelength units": "nm"}
    envi.write_envi_header(str(tmp_path / "scene.hdr"), metadata)
    with (tmp_path / "scene.img").open("wb") as file:
        file.truncate(bands * rows * columns * 2)
    tracemalloc.start()
    try:
        ((data, properties, _),) = _readers.read_layers(str(tmp_path / "scene.hdr"))
        spectrum = spectrum_at(layer_to_cube(Image(data, **properties)), 599, 639)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spectrum.shape == (bands,)
    assert peak < 60 * 2**20


@pytest.mark.parametrize("suffix", [".mat", ".hdr"])
def test_slider_moved_in_a_file_that_was_shortened(
    make_napari_viewer: MakeViewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = ours(tmp_path, suffix)
    monkeypatch.setattr(layers, "IN_MEMORY", 0)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(path, plugin="napari-drcr")
    data = path.with_suffix(".img") if suffix == ".hdr" else path
    whole = data.read_bytes()
    shorten(data)
    slider = viewer.window._qt_viewer.dims.slider_widgets[0].slider
    with capture_exceptions() as raised:  # in place of napari's hook, which shows each as a notification
        slider.setValue(7)
        QApplication.processEvents()
    assert [str(error) for _, error, _ in raised] == [f"{data.name} has changed since it was opened; open it again."]
    data.unlink()
    data.write_bytes(whole)
    viewer.layers.remove(layer)
    (again,) = viewer.open(path, plugin="napari-drcr")
    slider.setValue(9)
    np.testing.assert_array_equal(again._slice.image.raw, read_cube(path)[viewer.dims.current_step[0]])
