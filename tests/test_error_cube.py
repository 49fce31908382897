"""A map for each band: the same figures as the scalars, maps and curves, and everything left out is counted."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.analysis.metrics import error_cube, mean_map
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube

TRUTH = np.array([[[0.5, 0.2]], [[0.25, 0.004]]])  # two bands, one row of two pixels
ESTIMATE = np.array([[[0.4, 0.3]], [[0.25, 0.008]]])


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.uniform(0, 1, (31, 12, 17)), random.uniform(0, 1, (31, 12, 17))


def test_entries_by_hand() -> None:
    relative = error_cube(TRUTH, ESTIMATE, "relative", 0.01)
    np.testing.assert_allclose(relative, [[[0.2, 0.5]], [[0, np.nan]]], rtol=1e-6)
    np.testing.assert_allclose(error_cube(TRUTH, ESTIMATE, "absolute"), [[[0.1, 0.1]], [[0, 0.004]]], rtol=1e-5)
    difference = error_cube(TRUTH, ESTIMATE, "difference")
    np.testing.assert_allclose(difference, [[[-0.1, 0.1]], [[0, 0.004]]], rtol=1e-5)
    assert (relative.dtype, relative.name, difference.name) == (np.float32, "relative error", "difference")


def test_what_is_left_out_is_counted() -> None:
    errors = error_cube(TRUTH, ESTIMATE, floor=0.01, clipped=[[True, False]])
    np.testing.assert_allclose(errors, [[[np.nan, 0.5]], [[np.nan, np.nan]]])
    assert (errors.attrs["left_out"], errors.attrs["left_out_share"]) == (3, 0.75)
    assert nd.error_map(TRUTH, ESTIMATE, floor=0.01, clipped=[[True, False]]).attrs["left_out"] == 1


@pytest.mark.parametrize(("entries", "metric", "floor"), [("relative", "mrae", 0.1), ("absolute", "rmse", None)])
def test_the_mean_of_the_maps_is_the_error_map(
    pair: tuple[np.ndarray, np.ndarray], entries: str, metric: str, floor: float | None
) -> None:
    pair[0][:, 3, 4] = 0.05
    clipped = np.zeros((12, 17), dtype=bool)
    clipped[0] = True
    mean, expected = (
        mean_map(error_cube(*pair, entries, floor, clipped=clipped)),
        nd.error_map(*pair, metric, floor, clipped=clipped),
    )
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    assert (mean.name, mean.attrs["left_out"]) == (expected.name, expected.attrs["left_out"])


def test_the_mean_of_a_band_is_the_curve(pair: tuple[np.ndarray, np.ndarray]) -> None:
    errors = error_cube(*pair, "relative", 0.1)
    np.testing.assert_allclose(errors.mean(("y", "x")), nd.error_curve(*pair, "mrae", 0.1), rtol=1e-5)


def test_the_mean_difference_keeps_its_sign() -> None:
    mean = mean_map(error_cube(TRUTH, ESTIMATE, "difference"))
    np.testing.assert_allclose(mean, [[-0.05, 0.052]], rtol=1e-5)
    assert mean.name == "mean difference"


@pytest.mark.parametrize("chunks", [(1, 12, 17), (31, 5, 6)])
def test_lazy_cubes_give_the_same(pair: tuple[np.ndarray, np.ndarray], chunks: tuple[int, int, int]) -> None:
    truth = make_cube(dask.array.from_array(pair[0], chunks=chunks), WAVELENGTHS)
    estimate = make_cube(pair[1], WAVELENGTHS)
    np.testing.assert_array_equal(error_cube(truth, estimate, floor=0.1), error_cube(*pair, floor=0.1))


def test_cubes_on_other_bands_are_compared_on_common_ones() -> None:
    fine = make_cube(dask.array.full((61, 4, 5), 0.5, chunks=(1, 4, 5)), np.arange(400, 701, 5))
    coarse = make_cube(np.full((20, 4, 5), 0.4), np.arange(450, 641, 10))
    errors = error_cube(fine, coarse)
    assert errors["wavelength"].values.tolist() == list(range(450, 641, 10))
    np.testing.assert_allclose(errors, 0.2, rtol=1e-6)


def test_without_a_floor_it_is_told_what_is_left_out() -> None:
    with pytest.warns(nd.Notice, match="leaves out 1 of 4 entries"):
        error_cube(np.where(TRUTH == 0.004, 0, TRUTH), ESTIMATE)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"metric": "sam"}, "no metric 'sam' per band and pixel; there is relative, absolute, difference"),
        ({"floor": 2}, "reaches the floor of 2"),
        ({"floor": -1}, "must be positive"),
        ({"clipped": [True, False]}, r"shape \(2,\), the cubes 1 x 2 pixels"),
        ({"clipped": [[True, True]]}, "no entry is left"),
        ({"estimate": np.full_like(TRUTH, np.nan)}, "estimate holds 4 values that are NaN"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        error_cube(**{"truth": TRUTH, "estimate": ESTIMATE, **settings})  # type: ignore[arg-type]
