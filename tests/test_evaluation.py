"""Folders of pairs to a table of scores."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.analysis.evaluation import evaluate, find_pairs
from napari_drcr.camera import CAMERAS
from napari_drcr.camera.sample import synthetic_scene


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two scenes, one image without a cube, one cube without an image."""
    rgb, truth = tmp_path / "RGB", tmp_path / "spectral"
    rgb.mkdir()
    truth.mkdir()
    for seed in (1, 2):
        cube = synthetic_scene(48, 64, seed=seed)
        nd.write_cube(truth / f"scene_{seed}.mat", cube)
        (rgb / f"scene_{seed}.jpg").write_bytes(CAMERAS["photo"].photograph(cube))
    nd.write_cube(truth / "scene_3.mat", synthetic_scene(48, 64, seed=3))
    (rgb / "holiday.jpg").write_bytes((rgb / "scene_1.jpg").read_bytes())
    return rgb, truth


def test_scores_are_those_of_the_scenes_and_their_mean(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, model="polynomial")
    by_hand = [
        nd.mrae(nd.read_cube(folders[1] / f"{name}.mat"), nd.reconstruct(folders[0] / f"{name}.jpg", "polynomial"), floor=0.01)
        for name in ("scene_1", "scene_2")
    ]
    assert [score.name for score in result.scores] == ["scene_1", "scene_2"]
    assert [score.mrae for score in result.scores] == pytest.approx(by_hand)
    assert result.mean.mrae == pytest.approx(np.mean(by_hand))
    assert result.header()[1] == "MRAE@0.01"
    assert result.skipped == {"holiday": "no cube of that name", "scene_3": "no image of that name"}


def test_the_floor_can_be_another_or_none(folders: tuple[Path, Path]) -> None:
    assert evaluate(*folders, model="linear", floor=0.1).header()[1] == "MRAE@0.1"
    assert evaluate(*folders, model="linear", floor=0).header()[1] == "MRAE"


def test_the_challenge_protocol_leaves_a_border_out_and_clips(tmp_path: Path) -> None:
    (tmp_path / "RGB").mkdir()
    (tmp_path / "spectral").mkdir()
    cube = synthetic_scene(268, 264)
    nd.write_cube(tmp_path / "spectral" / "a.mat", cube)
    (tmp_path / "RGB" / "a.png").write_bytes(CAMERAS["photo"].with_settings(jpeg_quality=None).photograph(cube))
    result = evaluate(tmp_path / "RGB", tmp_path / "spectral", model="linear", protocol="ntire2022")
    estimate = nd.reconstruct(tmp_path / "RGB" / "a.png", "linear")[:, 128:-128, 128:-128].clip(0, 1)
    assert result.mean.mrae == pytest.approx(nd.mrae(cube[:, 128:-128, 128:-128], estimate))
    assert result.header()[1] == "MRAE"


def test_scenes_on_other_bands_say_what_was_compared(folders: tuple[Path, Path]) -> None:
    narrow = nd.resample(nd.read_cube(folders[1] / "scene_1.mat"), np.arange(450, 600, 5))
    nd.write_cube(folders[1] / "scene_1.mat", narrow)
    result = evaluate(*folders, model="linear")
    assert [score.nanometres for score in result.scores] == [(450, 590), (400, 700)]
    assert result.scores[0].row()[-1] == "450-590"


def test_radiance_is_not_scored_against_reflectance(folders: tuple[Path, Path]) -> None:
    cube = nd.read_cube(folders[1] / "scene_1.mat")
    nd.write_cube(folders[1] / "scene_1.mat", cube.assign_attrs(quantity="radiance"))
    assert "holds radiance, the estimate reflectance" in evaluate(*folders, model="linear").skipped["scene_1"]


def test_a_scene_that_cannot_be_scored_is_named_and_the_rest_goes_on(folders: tuple[Path, Path]) -> None:
    (folders[0] / "scene_1.jpg").write_bytes(CAMERAS["photo"].photograph(synthetic_scene(32, 64)))
    result = evaluate(*folders, model="linear")
    assert [score.name for score in result.scores] == ["scene_2"]
    assert "48 x 64 and 32 x 64 pixels" in result.skipped["scene_1"]
    with pytest.raises(nd.InputError, match=r"none of the 2 scenes can be scored; scene_1: nothing remains of 48 x 64"):
        evaluate(*folders, model="linear", protocol="ntire2022")


def test_the_table_is_written_with_model_protocol_and_floor(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluate(*folders, model="linear").write_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["# model linear"]
    assert rows[2][:2] == ["scene", "MRAE@0.01"]
    assert [row[0] for row in rows[3:]] == ["scene_1", "scene_2", "mean"]


def test_folders_that_do_not_match_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match="is not a folder"):
        find_pairs(tmp_path / "nowhere", folders[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(nd.InputError, match="none of the 0 images"):
        find_pairs(tmp_path / "empty", folders[1])
    (folders[0] / "scene_1.png").write_bytes(b"")
    with pytest.raises(nd.InputError, match=r"scene_1\.png and scene_1\.jpg .* keep one"):
        find_pairs(*folders)
    (folders[0] / "scene_1.png").unlink()
    nd.write_cube(folders[1] / "scene_1.hdr", synthetic_scene(48, 64))
    with pytest.raises(nd.InputError, match="both scene 'scene_1'"):
        find_pairs(*folders)
    with pytest.raises(nd.InputError, match="no protocol 'cave'"):
        evaluate(*folders, protocol="cave")
    with pytest.raises(nd.InputError, match="floor of MRAE must be positive"):
        evaluate(*folders, floor=-1)
