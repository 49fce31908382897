"""Metrics against hand-computed values and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, spectral_angle_mapper
from torchmetrics.functional.regression import mean_absolute_percentage_error

import napari_drcr as nd
from napari_drcr.analysis.metrics import metric_name
from napari_drcr.cubes.cube import make_cube

TRUTH = np.array([[[0.5, 0.2]], [[0.25, 0.004]]])  # two bands, one row of two pixels
ESTIMATE = np.array([[[0.4, 0.3]], [[0.25, 0.008]]])


@pytest.fixture
def random_pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.uniform(0.05, 1, (31, 12, 17)), random.uniform(0.05, 1, (31, 12, 17))


def test_mrae_by_hand() -> None:
    assert nd.mrae(TRUTH, ESTIMATE) == pytest.approx((0.2 + 0.5 + 0 + 1) / 4)
    assert nd.mrae(TRUTH, ESTIMATE, floor=0.01) == pytest.approx((0.2 + 0.5 + 0) / 3)


def test_mrae_without_a_floor_tells_of_the_entries_it_leaves_out() -> None:
    truth = np.where(TRUTH == 0.004, 0, TRUTH)
    with pytest.warns(nd.Notice, match="leaves out 1 of 4 entries"):
        assert nd.mrae(truth, ESTIMATE) == pytest.approx((0.2 + 0.5 + 0) / 3)


def test_rmse_and_psnr_by_hand() -> None:
    mean_square = (0.01 + 0.01 + 0 + 0.004**2) / 4
    assert nd.rmse(TRUTH, ESTIMATE) == pytest.approx(np.sqrt(mean_square))
    assert nd.psnr(TRUTH, ESTIMATE) == pytest.approx(-10 * np.log10(mean_square))


def test_sam_is_in_degrees_and_leaves_black_pixels_out() -> None:
    truth = np.array([[[1.0, 0.0]], [[0.0, 0.0]]])
    estimate = np.array([[[1.0, 0.3]], [[1.0, 0.2]]])
    assert nd.sam(truth, estimate) == pytest.approx(45)
    angles = nd.error_map(truth, estimate, "sam")
    assert np.isnan(angles[0, 1])
    assert angles.attrs["left_out"] == 1
    with pytest.raises(nd.InputError, match="no pixel has a spectral angle"):
        nd.sam(np.zeros_like(truth), estimate)


def test_agree_with_torchmetrics(random_pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, estimate = random_pair
    reference, other = torch.from_numpy(truth)[None], torch.from_numpy(estimate)[None]
    assert nd.mrae(truth, estimate) == pytest.approx(
        float(mean_absolute_percentage_error(other.flatten(), reference.flatten()))
    )
    assert nd.sam(truth, estimate) == pytest.approx(np.degrees(float(spectral_angle_mapper(other, reference))))
    assert nd.psnr(truth, estimate) == pytest.approx(float(peak_signal_noise_ratio(other, reference, data_range=1.0)))


@pytest.mark.parametrize("metric", ["mrae", "rmse"])
def test_map_and_curve_average_to_the_scalar(metric: str, random_pair: tuple[np.ndarray, np.ndarray]) -> None:
    scalar = {"mrae": nd.mrae, "rmse": nd.rmse}[metric](*random_pair)
    power = 2 if metric == "rmse" else 1
    pixels, curve = nd.error_map(*random_pair, metric), nd.error_curve(*random_pair, metric)
    assert pixels.shape == (12, 17)
    assert curve.shape == (31,)
    assert float((pixels**power).mean()) ** (1 / power) == pytest.approx(scalar)
    assert float((curve**power).mean()) ** (1 / power) == pytest.approx(scalar)


def test_floor_leaves_dark_entries_out_of_map_and_curve() -> None:
    assert nd.error_map(TRUTH, ESTIMATE, floor=0.01).values.tolist() == [[pytest.approx(0.1), pytest.approx(0.5)]]
    assert nd.error_curve(TRUTH, ESTIMATE, floor=0.3).values == pytest.approx([0.2, np.nan], nan_ok=True)


def test_cubes_on_other_bands_are_compared_on_common_ones() -> None:
    fine = make_cube(np.full((61, 4, 5), 0.5), np.arange(400, 701, 5))
    coarse = make_cube(np.full((20, 4, 5), 0.4), np.arange(450, 641, 10))
    assert nd.mrae(fine, coarse) == pytest.approx(0.2)
    assert nd.error_curve(fine, coarse)["wavelength"].values.tolist() == list(range(450, 641, 10))


def test_every_mrae_names_its_floor() -> None:
    assert metric_name("mrae") == "MRAE"
    assert metric_name("mrae", 0.01) == "MRAE@0.01"
    assert nd.error_map(TRUTH, ESTIMATE, floor=0.01).name == "MRAE@0.01"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nd.mrae(np.zeros((2, 3, 4)), np.ones((2, 3, 4))), "no entry of the truth is above 0"),
        (lambda: nd.sam(TRUTH, np.full_like(ESTIMATE, np.nan)), "estimate holds 4 values that are NaN"),
        (lambda: nd.mrae(np.full_like(TRUTH, np.inf), ESTIMATE, floor=0.01), "truth holds 4 values"),
        (lambda: nd.mrae(TRUTH, ESTIMATE, floor=2), "reaches the floor of 2"),
        (lambda: nd.mrae(TRUTH, ESTIMATE, floor=-1), "must be positive"),
        (lambda: nd.rmse(TRUTH, ESTIMATE[:, :, :1]), "differ in shape"),
        (lambda: nd.error_map(TRUTH, ESTIMATE, "ssim"), "no metric 'ssim'"),
        (lambda: nd.error_curve(TRUTH, ESTIMATE, "sam"), "no SAM per band"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call: object, sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        call()  # type: ignore[operator]
