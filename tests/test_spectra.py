"""Spectra of pixels and regions, of cubes in memory, on disk and in dask chunks."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import napari_drcr as nd
from napari_drcr.analysis import regions, spectra
from napari_drcr.analysis.regions import region_spectrum
from napari_drcr.analysis.spectra import (
    compare,
    match_scale,
    nearest,
    scaled,
    spectral_angle_map,
    spectrum_at,
    write_spectra_csv,
)
from napari_drcr.cubes.cube import WAVELENGTHS, align, make_cube
from napari_drcr.io import read_library
from napari_drcr.io.library import Library, colorchecker

NM = np.arange(400, 701, 10.0)


def curve(values: Any, wavelengths: Any = NM, name: str | None = None, **attrs: Any) -> xr.DataArray:
    values = np.broadcast_to(np.asarray(values, dtype=np.float64), np.shape(wavelengths))
    return xr.DataArray(values, dims="wavelength", coords={"wavelength": wavelengths}, name=name, attrs=attrs)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1, (31, 20, 30)).astype(np.float32)


@pytest.fixture
def cube(values: np.ndarray) -> xr.DataArray:
    return make_cube(values, WAVELENGTHS, quantity="reflectance", name="scene", attrs={"model": "photo"})


class Recorder:
    """An array for dask that remembers which pieces of it were read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.read = values, []
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key: Any) -> np.ndarray:
        piece = self.values[key]
        if piece.size:  # dask looks at the type by an empty piece
            self.read.append(piece.size)
        return piece


def test_a_picked_pixel_knows_where_it_comes_from(cube: xr.DataArray, values: np.ndarray) -> None:
    spectrum = spectrum_at(cube, 3, 29)
    np.testing.assert_array_equal(spectrum, values[:, 3, 29])
    assert (spectrum.name, spectrum.attrs["model"], int(spectrum["y"]), int(spectrum["x"])) == ("scene", "photo", 3, 29)
    values[:] = 0
    assert spectrum.values.all()


def test_a_pixel_reaches_half_a_step_around_its_centre(cube: xr.DataArray) -> None:
    assert int(spectrum_at(cube, -0.5, 2.4)["y"]) == 0
    assert int(spectrum_at(cube, 19.49, 2.5)["x"]) == 3
    for y, x in ((-0.51, 0), (19.5, 0), (0, 30), (np.nan, 0)):
        with pytest.raises(nd.InputError, match="outside the image of 20 x 30 pixels"):
            spectrum_at(cube, y, x)


def test_one_spectrum_reads_one_column_of_chunks(values: np.ndarray) -> None:
    source = Recorder(values)
    lazy = make_cube(da.from_array(source, chunks=(31, 5, 5)), WAVELENGTHS)
    np.testing.assert_array_equal(spectrum_at(lazy, 7, 8), values[:, 7, 8])
    assert sum(source.read) <= 31 * 5 * 5
    source.read.clear()
    region_spectrum(lazy, [(5, 5), (5, 9), (9, 9), (9, 5)])
    assert sum(source.read) <= 31 * 5 * 5


def test_mean_and_deviation_of_a_rectangle(cube: xr.DataArray, values: np.ndarray) -> None:
    corners = np.array([(2, 3), (2, 8), (6, 8), (6, 3)]) - 0.5
    inside = values[:, 2:6, 3:8].reshape(31, -1).astype(np.float64)
    for polygon in (corners, corners[::-1]):
        centre, low, high = region_spectrum(cube, polygon)
        np.testing.assert_allclose(centre, inside.mean(axis=1))
        np.testing.assert_allclose(high - centre, inside.std(axis=1))
        np.testing.assert_allclose(centre - low, inside.std(axis=1))
        assert centre.attrs["pixels"] == 20


def test_median_and_quartiles_of_a_mask(cube: xr.DataArray, values: np.ndarray) -> None:
    mask = values[0] > 0.7
    curves = region_spectrum(cube, mask, statistic="median")
    for quantile, found in zip((0.5, 0.25, 0.75), curves, strict=True):
        np.testing.assert_allclose(found, np.quantile(values[:, mask].astype(np.float64), quantile, axis=1))


def test_neighbouring_polygons_share_no_pixel(cube: xr.DataArray) -> None:
    left, right = [(0, 0), (10, 0), (10, 5), (0, 9)], [(0, 9), (10, 5), (10, 12), (0, 12)]
    both = [(0, 0), (10, 0), (10, 12), (0, 12)]
    pixels = [region_spectrum(cube, polygon).centre.attrs["pixels"] for polygon in (left, right, both)]
    assert pixels == [pixels[0], 120 - pixels[0], 120]


def test_a_region_may_reach_beyond_the_image(cube: xr.DataArray, values: np.ndarray) -> None:
    centre = region_spectrum(cube, [(-9, -9), (-9, 2.5), (1.5, 2.5), (1.5, -9)]).centre
    np.testing.assert_allclose(centre, values[:, :2, :3].mean(axis=(1, 2), dtype=np.float64))


def test_a_large_region_is_read_a_few_bands_at_a_time(
    cube: xr.DataArray, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "BLOCK_VALUES", 1500)
    centre = region_spectrum(cube, np.ones((20, 30), bool)).centre
    np.testing.assert_allclose(centre, values.mean(axis=(1, 2), dtype=np.float64))
    np.testing.assert_allclose(centre, region_spectrum(cube.chunk(wavelength=7), np.ones((20, 30), bool)).centre)


def test_missing_values_are_left_out_aloud(values: np.ndarray) -> None:
    values[0], values[1, 0, 0] = np.nan, np.inf
    with pytest.warns(nd.Notice, match="601 values of the region are NaN or infinite"):
        centre = region_spectrum(make_cube(values, WAVELENGTHS), np.ones((20, 30), bool)).centre
    assert np.isnan(centre[0])
    assert np.isfinite(centre[1:]).all()


def test_scaling_by_maximum_and_by_area() -> None:
    triangle = curve([0, 2, 0], [400, 500, 600])
    assert scaled(triangle) is triangle
    assert scaled(triangle, "maximum").values.tolist() == [0, 1, 0]
    assert scaled(triangle, "area").values.tolist() == [0, 0.01, 0]
    assert scaled(triangle * 0.5, "maximum", like=triangle).values.tolist() == [0, 0.5, 0]


def test_the_scale_of_an_estimate_is_matched(cube: xr.DataArray, values: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, values.shape)
    estimate = make_cube(values / 3 + noise, WAVELENGTHS)
    factor = match_scale(cube, estimate)
    expected = np.linalg.lstsq(estimate.values.reshape(-1, 1), values.ravel().astype(float), rcond=None)[0][0]
    assert factor == pytest.approx(expected)
    assert match_scale(cube.chunk(y=7), estimate.chunk(wavelength=5)) == pytest.approx(factor)
    assert match_scale(curve(NM), curve(np.arange(420, 901, 20.0) / 4, np.arange(420, 901, 20.0))) == pytest.approx(4)


def test_curves_on_other_wavelengths_are_compared_over_the_common_range() -> None:
    fine, coarse = np.arange(350, 651, 2.0), np.arange(400, 701, 10.0)
    found = compare(curve(0.5, fine), curve(0.4, coarse), floor=0.01)
    assert found.common_range == (400, 650)
    assert found.relative_error["wavelength"].values.tolist() == coarse[:26].tolist()
    assert (found.mrae, found.rmse, found.floor) == (pytest.approx(0.2), pytest.approx(0.1), 0.01)
    assert found.sam == pytest.approx(0, abs=1e-5)


def test_two_curves_score_as_cubes_of_one_pixel_do(cube: xr.DataArray) -> None:
    truth, estimate = spectrum_at(cube, 1, 2), spectrum_at(cube, 3, 4)
    found = compare(truth, estimate, floor=0.3)
    one, two = cube[:, 1:2, 2:3], cube[:, 3:4, 4:5]
    assert found.mrae == pytest.approx(nd.mrae(one, two, floor=0.3))
    assert found.rmse == pytest.approx(nd.rmse(one, two))
    assert found.sam == pytest.approx(nd.sam(one, two))
    np.testing.assert_array_equal(found.relative_error, nd.error_curve(one, two, floor=0.3))


def test_a_dark_curve_has_an_rmse_but_neither_mrae_nor_angle() -> None:
    found = compare(curve(0), curve(0.5), floor=0.01)
    assert found.rmse == pytest.approx(0.5)
    assert np.isnan([found.mrae, found.sam, *found.relative_error]).all()


def test_the_angle_map_agrees_with_the_metric(cube: xr.DataArray, values: np.ndarray) -> None:
    picked = spectrum_at(cube, 4, 5)
    everywhere = make_cube(np.broadcast_to(picked.values[:, None, None], values.shape), WAVELENGTHS)
    expected = nd.error_map(everywhere, cube, "sam")
    for form in (cube, cube.chunk(wavelength=4, y=7, x=11)):
        angles = spectral_angle_map(form, picked)
        assert angles.dims == ("y", "x")
        assert angles.attrs["units"] == "degree"
        np.testing.assert_allclose(angles, expected, atol=1e-5)
    assert int(angles.values.argmin()) == 4 * 30 + 5


def test_black_pixels_have_no_angle(values: np.ndarray) -> None:
    values[:, 0, :2] = 0
    angles = spectral_angle_map(make_cube(values, WAVELENGTHS), curve(1.0))
    assert np.isnan(angles[0, :2]).all()
    assert angles.attrs["left_out"] == 2


def test_the_angle_to_a_spectrum_on_other_wavelengths(cube: xr.DataArray, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = curve(np.linspace(1, 3, 8), np.arange(450, 801, 50.0))
    angles = spectral_angle_map(cube, reference)
    assert angles.attrs["common_range"] == [450, 700]
    pixel = compare(reference, spectrum_at(cube, 4, 5))
    assert float(angles[4, 5]) == pytest.approx(pixel.sam, abs=1e-4)
    monkeypatch.setattr(spectra, "BLOCK_VALUES", 31 * 30 * 3)
    np.testing.assert_allclose(spectral_angle_map(cube, reference), angles, atol=1e-5)


def test_the_angle_map_of_a_file_takes_little_memory(tmp_path: Path) -> None:
    stored = np.memmap(tmp_path / "cube.raw", dtype=np.float32, mode="w+", shape=(200, 200, 200))
    stored[:] = 1
    cube = make_cube(stored, np.arange(400, 1000, 3.0))
    reference = curve(1.0, np.arange(400, 1000, 3.0))
    for picked in (reference, reference[::4]):
        tracemalloc.start()
        spectral_angle_map(cube, picked)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < stored.nbytes


def test_cubes_in_chunks_resample_align_and_score_as_others_do(cube: xr.DataArray, values: np.ndarray) -> None:
    lazy, other = cube.chunk(wavelength=7, y=6, x=9), make_cube(values[::2] * 1.1, WAVELENGTHS[::2])
    assert all(one.chunks for one in align(lazy, other.chunk(wavelength=4)))
    for metric in (nd.mrae, nd.rmse, nd.sam, nd.psnr):
        assert metric(lazy, other.chunk(wavelength=4)) == pytest.approx(metric(cube, other), rel=1e-5)


def test_metrics_read_a_lazy_cube_once(values: np.ndarray) -> None:
    source = Recorder(values)
    lazy = make_cube(da.from_array(source, chunks=(31, 5, 5)), WAVELENGTHS)
    nd.mrae(lazy, make_cube(values, WAVELENGTHS))
    assert sum(source.read) == values.size


def test_the_nearest_patch_is_the_one_that_was_put_in() -> None:
    chart = colorchecker()
    red = nd.resample(chart.spectrum("red").expand_dims({"y": 1, "x": 1}, (1, 2)).reset_coords(drop=True), WAVELENGTHS)
    found = nearest(chart, 0.3 * red[:, 0, 0], count=3)
    assert found[0] == ("red", pytest.approx(0, abs=0.01))
    assert found[1][1] > 5
    assert len(found) == 3


def test_spectra_that_do_not_reach_over_the_range_are_left_out_aloud() -> None:
    table = np.stack([np.ones(31), np.where(NM < 600, 1, np.nan), np.where(NM == 500, np.nan, NM), np.zeros(31)])
    library = Library("stones", NM, ("flat", "short", "gap", "black"), table)
    with pytest.warns(nd.Notice, match="2 of 4 spectra of stones"):
        found = nearest(library, curve(NM))
    assert [name for name, _ in found] == ["gap", "flat"]


def test_a_table_of_spectra_reads_back(tmp_path: Path, cube: xr.DataArray) -> None:
    picked, path = spectrum_at(cube, 3, 4), tmp_path / "spectra.csv"
    truth = curve([0.25, np.nan, 0.75], [400, 405.5, 410], name="truth")
    write_spectra_csv(path, [("Blatt, grün", picked), ("Blatt, grün", truth)])
    with path.open(encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert header[:8] == ["name", "layer", "model", "y", "x", "400", "405.5", "410"]
    assert first[:5] == ["Blatt, grün", "scene", "photo", "3", "4"]
    assert (first[6], np.float32(first[5])) == ("", picked.values[0])
    assert second[:9] == ["Blatt, grün", "truth", "", "", "", "0.25", "", "0.75", ""]
    with pytest.warns(nd.Notice, match="taken as nm"):
        library = read_library(path)
    np.testing.assert_array_equal(library.spectrum("Blatt, grün (scene)").values.astype(np.float32), picked.values)
    assert library.spectrum("Blatt, grün (truth)")["wavelength"].values.tolist() == [400, 410]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda cube: region_spectrum(cube, np.ones((3, 3), bool)), "mask has the shape"),
        (lambda cube: region_spectrum(cube, [(0, 0), (1, 1)]), "at least three corners"),
        (lambda cube: region_spectrum(cube, [(40, 0), (50, 0), (50, 9)]), "centre of no pixel"),
        (lambda cube: region_spectrum(cube, [(0.1, 0.1), (0.2, 0.9), (0.9, 0.2)]), "centre of no pixel"),
        (lambda cube: region_spectrum(cube, np.ones((20, 30), bool), "mode"), "no statistic 'mode'"),
        (lambda cube: scaled(curve(0), "maximum"), "cannot be divided by its maximum"),
        (lambda cube: scaled(curve(1.0), "length"), "no scaling 'length'"),
        (lambda cube: compare(curve(1.0), curve(1.0, NM + 400)), "share no wavelengths"),
        (lambda cube: compare(curve(np.nan), curve(1.0)), "truth holds 31 values"),
        (lambda cube: match_scale(cube, cube * 0), "no positive factor"),
        (lambda cube: match_scale(cube, cube * np.nan), "NaN or infinite"),
        (lambda cube: match_scale(cube, cube[:, :3]), "differ in size"),
        (lambda cube: spectral_angle_map(cube, curve(0)), "zero in all bands"),
        (lambda cube: spectral_angle_map(cube, curve(1.0, NM + 300)), "only the band at 700 nm"),
        (lambda cube: nearest(colorchecker(), curve(1.0, NM + 400)), "share no wavelengths"),
        (lambda cube: write_spectra_csv("spectra.csv", []), "no spectra to write"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(cube: xr.DataArray, call: Any, sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        call(cube)
