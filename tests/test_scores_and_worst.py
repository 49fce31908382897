"""Scores of an image or a region, and the worst pixels of a map."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.analysis.metrics import error_cube, mean_curve, scores, worst_pixels
from napari_drcr.analysis.regions import region_mask
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import Cancelled

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def pair() -> Pair:
    random = np.random.default_rng(0)
    return random.uniform(0.05, 1, (31, 12, 17)), random.uniform(0.05, 1, (31, 12, 17))


def test_the_scores_of_an_image_are_those_of_the_single_functions(pair: Pair) -> None:
    found = scores(*pair, 0.1)
    assert found == (nd.mrae(*pair, 0.1), nd.rmse(*pair), pytest.approx(nd.sam(*pair)), 12 * 17)


@pytest.mark.parametrize("lazy", [False, True])
def test_the_scores_of_a_mask_are_those_of_its_pixels(pair: Pair, lazy: bool) -> None:
    mask = region_mask([(2, 3), (2, 8), (6, 8)], (12, 17))
    truth, estimate = (make_cube(dask.array.from_array(cube, chunks=(1, 5, 5)) if lazy else cube, WAVELENGTHS) for cube in pair)
    found = scores(truth, estimate, 0.1, mask=mask)
    alone = [cube[:, mask][:, :, None] for cube in pair]
    assert found == (nd.mrae(*alone, 0.1), nd.rmse(*alone), pytest.approx(nd.sam(*alone)), mask.sum())


def test_a_region_in_the_dark_has_no_mrae_and_one_of_zeros_no_angle(pair: Pair) -> None:
    pair[0][:, 0, 0] = 0
    found = scores(*pair, 0.01, mask=np.arange(12 * 17).reshape(12, 17) == 0)
    assert np.isnan([found.mrae, found.sam]).all()
    assert found.rmse > 0


def test_scores_refuse_in_a_sentence(pair: Pair) -> None:
    with pytest.raises(nd.InputError, match=r"shape \(3, 3\), the cubes 12 x 17 pixels"):
        scores(*pair, mask=np.ones((3, 3), dtype=bool))
    with pytest.raises(nd.InputError, match="holds no pixel"):
        scores(*pair, mask=np.zeros((12, 17), dtype=bool))
    with pytest.raises(nd.InputError, match="truth holds 1 values that are NaN"):
        scores(np.where(np.arange(31 * 12 * 17).reshape(31, 12, 17) == 5, np.nan, pair[0]), pair[1])


def test_a_mask_covers_the_pixels_whose_centres_lie_in_the_polygon() -> None:
    mask = region_mask([(-5, 0.5), (-5, 2.5), (1.5, 2.5), (1.5, 0.5)], (4, 5))
    assert np.argwhere(mask).tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    with pytest.raises(nd.InputError, match="no pixel of the image"):
        region_mask([(10, 10), (10, 12), (12, 12)], (4, 5))


def test_the_curve_of_the_maps_is_the_error_curve(pair: Pair) -> None:
    for entries, metric, floor in (("relative", "mrae", 0.1), ("absolute", "rmse", None)):
        curve, expected = mean_curve(error_cube(*pair, entries, floor)), nd.error_curve(*pair, metric, floor)
        np.testing.assert_allclose(curve, expected, rtol=1e-5)
        assert curve.name == expected.name
        assert curve["wavelength"].values.tolist() == list(WAVELENGTHS)
    difference = mean_curve(error_cube(*pair, "difference"))
    np.testing.assert_allclose(difference, (pair[1] - pair[0]).mean(axis=(1, 2)), rtol=1e-3, atol=1e-6)


def test_clipped_pixels_are_left_out_of_the_curve(pair: Pair) -> None:
    clipped = np.zeros((12, 17), dtype=bool)
    clipped[3:, :] = True
    curve = mean_curve(error_cube(*pair, floor=0.1, clipped=clipped))
    np.testing.assert_allclose(curve, nd.error_curve(*(cube[:, :3] for cube in pair), "mrae", 0.1), rtol=1e-5)


@pytest.mark.parametrize("lazy", [False, True])
def test_maps_can_be_cancelled_at_any_band(pair: Pair, lazy: bool) -> None:
    asked = []

    def stop_at_the_third() -> None:
        asked.append(True)
        if len(asked) >= 3:
            raise Cancelled

    chunks = dask.array.from_array(pair[0], chunks=(1, 12, 17)) if lazy else pair[0]
    with pytest.raises(Cancelled):
        error_cube(make_cube(chunks, WAVELENGTHS), make_cube(pair[1], WAVELENGTHS), check=stop_at_the_third)
    assert len(asked) < 31


def test_the_worst_pixels_are_not_all_of_one_blob() -> None:
    y, x = np.mgrid[:60, :80]
    blobs = sum(height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8) for row, column, height in BLOBS)
    found = worst_pixels(blobs, count=3, apart=10)
    assert [(pixel.y, pixel.x) for pixel in found] == [(30, 40), (10, 10), (59, 79)]
    assert [pixel.error for pixel in found] == pytest.approx([3, 2, 1], rel=1e-3)
    assert len(worst_pixels(blobs, count=3, apart=1)) == 3
    assert {(pixel.y, pixel.x) for pixel in worst_pixels(blobs, count=5, apart=1)} == {
        (30, 40), (29, 40), (31, 40), (30, 39), (30, 41)
    }  # fmt: skip


BLOBS = [(10, 10, 2.0), (30, 40, 3.0), (59, 79, 1.0)]


def test_no_two_worst_pixels_are_near_each_other() -> None:
    found = worst_pixels(np.random.default_rng(0).uniform(0, 1, (50, 60)), count=20, apart=7)
    assert len(found) == 20
    for one in found:
        assert all(one is other or max(abs(one.y - other.y), abs(one.x - other.x)) >= 7 for other in found)


def test_signs_count_by_size_and_gaps_do_not_count() -> None:
    errors = np.full((4, 4), np.nan)
    assert worst_pixels(errors) == []
    errors[1, 2], errors[3, 0] = -0.5, 0.25
    assert worst_pixels(errors, apart=1) == [(1, 2, -0.5), (3, 0, 0.25)]


@pytest.mark.parametrize("make_map", ["error_map", "mean_map"])
def test_at_least_half_of_the_bands_of_a_worst_pixel_count(make_map: str) -> None:
    truth, clipped = np.full((4, 3, 3), 0.5), np.zeros((3, 3), dtype=bool)
    truth[:3, 0, 0] = 0.001  # one band of four above the floor
    truth[:2, 1, 1] = 0.001  # half of them
    clipped[2, 2] = True
    estimate = truth * 1.1
    for place, times in {(0, 0): 9, (1, 1): 2, (2, 2): 5, (2, 0): 1.5}.items():
        estimate[:, *place] = truth[:, *place] * times
    if make_map == "error_map":
        errors = nd.error_map(truth, estimate, floor=0.01, clipped=clipped)
    else:
        errors = nd.mean_map(error_cube(truth, estimate, floor=0.01, clipped=clipped))
    assert errors["counted_share"].values.tolist() == [[0.25, 1, 1], [1, 0.5, 1], [1, 1, 0]]
    assert [(pixel.y, pixel.x) for pixel in worst_pixels(errors, count=2, apart=1)] == [(1, 1), (2, 0)]
    assert worst_pixels(errors.values, count=1)[0][:2] == (0, 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"errors": np.zeros((2, 3, 4))}, "two axes"), ({"count": 0}, "at least 1"), ({"apart": 0}, "at least 1")],
)
def test_no_map_no_worst_pixels(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        worst_pixels(**{"errors": np.zeros((3, 4)), **settings})  # type: ignore[arg-type]
