"""Self-ensemble: the mean over flips and turns, how far they disagree, and what that says about the error."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import napari_drcr as nd
from napari_drcr.analysis.evaluation import FLIP_CORRELATION, evaluate
from napari_drcr.camera import CAMERAS
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.inference.ensemble import ORIENTATIONS, turn, turn_back

SMALL = Path(__file__).parent / "reference" / "official_layout_small.pth"


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (21, 34, 3), dtype=np.uint8)


def reconstruct(image: np.ndarray, **settings: object) -> nd.make_cube:
    return nd.reconstruct(image, SMALL, encoding="linear", **settings)


def test_there_are_8_orientations_and_each_can_be_undone() -> None:
    image = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    turned = [turn(image, *orientation) for orientation in ORIENTATIONS]
    assert len({view.tobytes() for view in turned}) == 8
    for orientation, view in zip(ORIENTATIONS, turned, strict=True):
        np.testing.assert_array_equal(turn_back(view, *orientation), image)


def test_it_is_the_mean_and_spread_of_8_separate_estimates(rgb: np.ndarray) -> None:
    estimates = []
    for flipped in (False, True):
        for turns in range(4):
            image = np.rot90(rgb[:, ::-1] if flipped else rgb, turns)
            back = np.rot90(reconstruct(image, precision="fp32").values, -turns, axes=(1, 2))
            estimates.append(back[..., ::-1] if flipped else back)
    mean, spread = np.mean(estimates, axis=0), np.std(estimates, axis=0)
    cube = reconstruct(rgb, ensemble=True, precision="fp32")
    np.testing.assert_allclose(cube, mean, atol=1e-5 * np.abs(mean).max())
    disagreement = cube["flip_disagreement"]
    assert disagreement.dims == ("y", "x")
    assert disagreement.dtype == np.float32
    np.testing.assert_allclose(disagreement, (spread / np.maximum(mean, 0.01)).mean(axis=0), rtol=1e-3)
    assert cube.attrs["ensemble"] is True
    assert cube.attrs["flip_disagreement_mean"] == pytest.approx(float(disagreement.mean()))


def test_a_turned_image_gives_the_turned_cube(rgb: np.ndarray) -> None:
    cube = reconstruct(rgb, ensemble=True, precision="fp32")
    turned = reconstruct(np.rot90(rgb), ensemble=True, precision="fp32")
    np.testing.assert_allclose(np.rot90(turned, -1, axes=(1, 2)), cube, atol=1e-5 * np.abs(cube.values).max())


def test_without_it_there_is_one_pass_and_no_disagreement(rgb: np.ndarray) -> None:
    cube = reconstruct(rgb)
    assert cube.attrs["ensemble"] is False
    assert "flip_disagreement" not in cube.coords
    assert "flip_disagreement_mean" not in cube.attrs


def test_progress_runs_once_over_all_passes_and_can_be_stopped(rgb: np.ndarray) -> None:
    once: list[tuple[int, int]] = []
    reconstruct(rgb, tile=16, progress=lambda *step: once.append(step))
    steps: list[tuple[int, int]] = []
    reconstruct(rgb, tile=16, ensemble=True, progress=lambda *step: steps.append(step))
    of_one, of_all = once[-1][1], steps[-1][1]
    assert of_all == 8 * of_one
    # More often than the steps: while images are prepared and cubes averaged it can be stopped as well.
    assert [*dict.fromkeys(steps)] == [(0, 1), *((done, of_all) for done in range(1, of_all + 1))]
    assert steps == sorted(steps)

    def stop_in_the_second_pass(done: int, _total: int) -> None:
        if done > of_one:
            raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        reconstruct(rgb, tile=16, ensemble=True, progress=stop_in_the_second_pass)


@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_per_pixel_maps_say_that_they_cannot_disagree(rgb: np.ndarray, model: str) -> None:
    with pytest.warns(nd.Notice, match=rf"{model} estimates each pixel independently: .* no flip disagreement"):
        cube = nd.reconstruct(rgb, model, ensemble=True)
    assert cube.attrs["ensemble"] is False
    assert "flip_disagreement" not in cube.coords
    np.testing.assert_array_equal(cube, nd.reconstruct(rgb, model))


@pytest.mark.parametrize("suffix", ["mat", "hdr", "nc", "tif"])
def test_files_keep_the_average_disagreement(rgb: np.ndarray, tmp_path: Path, suffix: str) -> None:
    cube = reconstruct(rgb, ensemble=True)
    nd.write_cube(tmp_path / f"cube.{suffix}", cube)
    found = nd.read_cube(tmp_path / f"cube.{suffix}")
    np.testing.assert_array_equal(found, cube)
    assert found.attrs["ensemble"] is True
    assert found.attrs["flip_disagreement_mean"] == cube.attrs["flip_disagreement_mean"]


def test_disagreement_stays_with_its_pixels(rgb: np.ndarray) -> None:
    cube = reconstruct(rgb, ensemble=True)
    part = nd.resample(cube, [450, 550]).isel(y=slice(3, 9), x=slice(2, 20))
    np.testing.assert_array_equal(part["flip_disagreement"], cube["flip_disagreement"][3:9, 2:20])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    rgb, truth = tmp_path / "RGB", tmp_path / "spectral"
    rgb.mkdir()
    truth.mkdir()
    for seed in (1, 2):
        cube = synthetic_scene(48, 64, seed=seed)
        cube[:, :5, :5] = 0  # nothing to be relative to
        nd.write_cube(truth / f"scene_{seed}.mat", cube)
        (rgb / f"scene_{seed}.png").write_bytes(CAMERAS["photo"].with_settings(jpeg_quality=None).photograph(cube))
    return rgb, truth


def test_evaluation_correlates_disagreement_with_the_true_error(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = evaluate(*folders, precision="fp32", ensemble=True)
    cube = nd.reconstruct(folders[0] / "scene_1.png", precision="fp32", ensemble=True)
    truth = nd.read_cube(folders[1] / "scene_1.mat")
    errors = nd.error_map(truth, cube, floor=0.01).values
    counted = np.isfinite(errors)
    assert not counted.all()
    expected = spearmanr(errors[counted], cube["flip_disagreement"].values[counted]).statistic
    assert result.scores[0].mrae == pytest.approx(nd.mrae(truth, cube, floor=0.01))
    assert result.scores[0].flip_correlation == pytest.approx(expected)
    assert result.mean.flip_correlation == pytest.approx(np.mean([score.flip_correlation for score in result.scores]))
    result.write_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(line for line in file if not line.startswith("#"))]
    assert rows[0] == ["scene", "MRAE@0.01", "RMSE", "SAM (°)", "PSNR (dB)", FLIP_CORRELATION, "from nm", "to nm"]
    assert float(rows[1][5]) == pytest.approx(expected)
    assert all(len(row) == len(rows[0]) for row in rows)
    assert len(result.header()) == len(result.mean.row())


def test_evaluation_without_it_has_no_such_column(folders: tuple[Path, Path]) -> None:
    assert FLIP_CORRELATION not in evaluate(*folders, model="linear").header()
    with pytest.warns(nd.Notice, match="no flip disagreement"):
        assert FLIP_CORRELATION not in evaluate(*folders, model="linear", ensemble=True).header()
