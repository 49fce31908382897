"""The demo: what it writes, what it says, and that the figures it reports are those of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_drcr.analysis.demo import DemoResult, run_demo
from napari_drcr.analysis.metrics import mrae, psnr, rmse, sam
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.errors import InputError
from napari_drcr.io import read_cube, read_rgb

FILES = ["comparison.png", "estimate.mat", "sample_rgb.png", "sample_truth.mat"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("made") / "new" / "demo", model="polynomial")


def test_the_folder_holds_the_pair_the_estimate_and_the_figure(result: DemoResult) -> None:
    assert sorted(path.name for path in result.paths) == FILES
    assert sorted(result.paths[0].parent.iterdir()) == sorted(result.paths)
    rgb, truth = synthetic_pair()
    np.testing.assert_array_equal(read_rgb(result.paths[0]), rgb)
    np.testing.assert_allclose(read_cube(result.paths[1]), truth, rtol=1e-6)


def test_the_scores_are_those_of_the_files(result: DemoResult) -> None:
    truth, estimate = read_cube(result.paths[1]), read_cube(result.paths[2])
    score = result.scores[0]
    assert score.mrae == pytest.approx(mrae(truth, estimate, floor=0.01), rel=1e-4)
    assert score.rmse == pytest.approx(rmse(truth, estimate), rel=1e-4)
    assert score.sam == pytest.approx(sam(truth, estimate), rel=1e-3)
    assert score.psnr == pytest.approx(psnr(truth, estimate), rel=1e-4)


def test_the_baselines_stand_beside_the_model_once_each(result: DemoResult) -> None:
    assert [score.name for score in result.scores] == ["polynomial", "linear"]
    assert result.header() == ["model", "MRAE@0.01", "RMSE", "SAM (°)", "PSNR (dB)", "nm"]


def test_the_estimate_is_of_some_use_and_says_what_made_it(result: DemoResult) -> None:
    assert result.scores[0].mrae < 0.25
    assert (result.model, result.device, result.precision) == ("polynomial", "cpu", "fp32")
    assert read_cube(result.paths[2]).attrs["model"] == "polynomial"


def test_progress_is_reported_and_files_are_replaced(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    (tmp_path / "comparison.png").write_text("old")
    run_demo(tmp_path, model="linear", progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "demo"
    taken.touch()
    with pytest.raises(InputError, match="demo is a file"):
        run_demo(taken)


def test_an_unknown_model_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        run_demo(tmp_path / "demo", model="nowhere")
    assert not any(tmp_path.iterdir())


def test_the_shipped_network_recovers_spectra_better_than_both_baselines(tmp_path: Path) -> None:
    photo, *baselines = run_demo(tmp_path).scores
    assert photo.name == "photo"
    assert all(photo.rmse < baseline.rmse and photo.sam < baseline.sam for baseline in baselines)
