"""What a data folder holds is told before training, scene by scene, with what is wrong about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cli import main
from napari_drcr.training.config import make_config
from napari_drcr.training.data import Patches
from napari_drcr.training.dataset import export_scenes, propose_split
from napari_drcr.training.preview import preview_batch
from napari_drcr.training.scenes import cache_scenes
from napari_drcr.training.sections import DataConfig, TrainingConfig
from napari_drcr.training.survey import SceneEntry, iter_survey, survey

pytestmark = pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenes with their photos, side by side."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed, name in enumerate(("leaf", "soil", "wood"), start=1):
        cube = synthetic_scene(48, 64, seed=seed)
        nd.write_cube(folder / f"{name}.nc", cube)
        (folder / f"{name}.png").write_bytes(find_camera("ntire2020-clean").photograph(cube))
    return folder


def from_files(folder: Path, **more: object) -> DataConfig:
    return DataConfig(folder=folder, validation=("wood",), rgb="files", patch=16, **more)


def said(entry: SceneEntry) -> list[tuple[str, bool]]:
    return [(problem.sentence, problem.stops) for problem in entry.problems]


def test_a_folder_in_order_has_a_line_a_scene_and_nothing_to_say(folder: Path) -> None:
    found = survey(from_files(folder), values=True)
    assert (found.layout, found.problems, found.usable) == ("cubes side by side", (), True)
    assert [(scene.name, scene.held_back) for scene in found.scenes] == [("leaf", False), ("soil", False), ("wood", True)]
    leaf = found.scenes[0]
    assert (leaf.bands, leaf.nanometres, leaf.size, leaf.quantity) == (31, (400, 700), (48, 64), "reflectance")
    assert (leaf.cube.name, leaf.rgb and leaf.rgb.name, leaf.problems) == ("leaf.nc", "leaf.png", ())


def test_what_stops_training_is_told_apart_from_what_is_only_noted(folder: Path) -> None:
    leaf = synthetic_scene(48, 64, seed=1)
    nd.write_cube(folder / "short.nc", leaf.sel(wavelength=slice(450, None)))
    nd.write_cube(folder / "fine.nc", leaf.interp(wavelength=np.linspace(397, 703, 52), kwargs={"fill_value": "extrapolate"}))
    nd.write_cube(folder / "tiny.nc", leaf[:, :8])
    nd.write_cube(folder / "unlabelled.nc", leaf.assign_attrs(quantity="unknown"))
    Image.new("RGB", (64, 40)).save(folder / "fine.png")
    for name in ("short", "tiny", "unlabelled"):
        shutil.copy(folder / "leaf.png", folder / f"{name}.png")
    (folder / "leaf.png").unlink()
    truncated = (folder / "soil.nc").read_bytes()
    (folder / "soil.nc").write_bytes(truncated[: len(truncated) // 8])
    (folder / "page.mat").write_text("<html>Sign in to download</html>")
    found = survey(from_files(folder))
    scenes = {scene.name: scene for scene in found.scenes}
    assert not found.usable
    assert found.problems == ()
    assert said(scenes["leaf"]) == [("has no image of the same name, though data.rgb is 'files'", True)]
    assert said(scenes["short"]) == [("covers 450-700 nm only; training needs 400-700 nm", True)]
    assert said(scenes["fine"]) == [
        ("is resampled from 52 bands of 397-703 nm", False),
        ("has 48 x 64 pixels, its image fine.png 40 x 64", True),
    ]
    assert said(scenes["tiny"])[0] == ("is smaller than a patch of 16 pixels (data.patch)", True)
    assert said(scenes["unlabelled"]) == [("does not state its quantity, and is taken as reflectance (data.quantity)", False)]
    assert scenes["unlabelled"].usable
    assert scenes["soil"].bands is None
    assert "soil.nc cannot be read: the file is damaged" in said(scenes["soil"])[0][0]
    assert (scenes["page"].left_out, scenes["page"].usable) == (True, False)
    assert said(scenes["page"]) == [
        ("page.mat cannot be read: this is a web page under another name, as some download sites send; download the file itself again", False)
    ]  # fmt: skip


def test_values_are_read_when_asked_for(folder: Path) -> None:
    cube = synthetic_scene(48, 64, seed=1)
    cube[3, :24] = 0
    nd.write_cube(folder / "leaf.nc", cube)
    cube[5, 0, 0], cube[6, 0, 0] = np.nan, np.inf
    nd.write_cube(folder / "soil.nc", cube)
    nd.write_cube(folder / "wood.nc", cube.fillna(1).clip(max=1) * 1e5)
    assert survey(from_files(folder)).usable
    dark = ("holds 1536 values (0.016 of all) of 0 or less, which count as learning.floor in the loss", False)
    leaf, soil, wood = survey(from_files(folder), values=True).scenes
    assert said(leaf) == [dark]
    assert said(soil) == [("holds 2 values (2.1e-05 of all) that are NaN or infinite; replace them first", True), dark]
    assert "beyond 65504; divide them by their white level" in said(wood)[0][0]


def test_scenes_of_one_name_and_a_split_that_leaves_nothing_concern_the_folder(folder: Path) -> None:
    shutil.copy(folder / "leaf.nc", folder / "leaf.nc4.nc")
    (folder / "leaf.nc4.nc").rename(folder / "leaf.mat")
    found = survey(DataConfig(folder=folder, patch=16))
    assert "leaf.nc and leaf.mat in" in found.problems[0]
    assert "3 training and 0 validation cubes" in found.problems[1]
    assert said(found.scenes[0]) == [(found.problems[0], True)]
    with pytest.raises(nd.InputError, match=r"both scene 'leaf'; keep one"):
        cache_scenes(from_files(folder))
    with pytest.raises(nd.InputError, match="does not exist"):
        survey(DataConfig(folder=folder / "nowhere"))


def test_a_survey_goes_scene_by_scene_and_can_be_left(folder: Path) -> None:
    going = iter_survey(from_files(folder))
    assert [next(going)[:2] for _ in range(2)] == [(1, 3), (2, 3)]
    going.close()
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        survey(from_files(folder), progress=stop)
    assert seen == [1]


def test_a_split_is_drawn_from_names_and_seed_alone() -> None:
    names = [f"scene_{number}" for number in range(20)]
    split = propose_split(names)
    assert len(split) == 4
    assert split == propose_split(reversed(names)) == sorted(split)
    assert split != propose_split(names, seed=1)
    assert len(set(propose_split([*names, "late"])) & set(split)) >= 3
    assert len(propose_split(["a", "b"], share=0.9)) == 1
    with pytest.raises(nd.InputError, match="at least two scenes, but there is 1"):
        propose_split(["a"])
    with pytest.raises(nd.InputError, match="between 0 and 1, not be 1"):
        propose_split(names, share=1)


def test_open_cubes_become_a_data_folder(tmp_path: Path) -> None:
    cube = synthetic_scene(48, 64, seed=1)
    lazy = synthetic_scene(48, 64, seed=2).chunk(y=16)
    target = tmp_path / "run" / "scenes"
    names = export_scenes({"Leaf: top": cube, "leaf_ top": lazy, "soil": cube}, target)
    assert names == ["Leaf_ top", "leaf_ top-2", "soil"]
    found = survey(DataConfig(folder=target, validation=(propose_split(names)[0],), patch=16), values=True)
    assert found.usable
    np.testing.assert_array_equal(nd.read_cube(target / "leaf_ top-2.nc").values, lazy.values)
    with pytest.raises(nd.InputError, match="holds something already"):
        export_scenes({"leaf": cube}, target)


@pytest.fixture
def config(folder: Path) -> TrainingConfig:
    return make_config(
        {
            "device": "cpu",
            "network": {"channels": 8, "blocks": 1},
            "data": {"folder": str(folder), "validation": ["wood"], "patch": 16},
            "learning": {"batch": 5, "precision": "fp32"},
        }
    )


def test_the_preview_is_the_first_batch_of_training(config: TrainingConfig) -> None:
    rgb, cubes, names = preview_batch(config)
    assert (rgb.shape, cubes.shape) == ((5, 16, 16, 3), (5, 31, 16, 16))
    training, _ = cache_scenes(config.data)
    patches = Patches(training, config)
    for index, name in enumerate(names):
        image, cube = (part.numpy() for part in patches[index])
        np.testing.assert_array_equal(rgb[index], np.moveaxis(image, 0, -1))
        np.testing.assert_array_equal(cubes[index], cube)
        assert name == patches.name_of(index)
    assert set(names) <= {"leaf", "soil"}
    assert not np.array_equal(preview_batch(config, seed=7)[0], rgb)


def test_check_prints_the_survey_and_says_by_its_exit_code_whether_to_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["napari-drcr", "train", *map(str, words), "--check"])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    code, out, err = check("--data", folder)
    assert code == 2
    assert "leaf" in out
    assert "3 training, 0 validation" in out
    assert "both are needed" in err
    (tmp_path / "mine.yaml").write_text("data: {validation: [wood], patch: 16}\n", encoding="utf-8")
    assert check(tmp_path / "mine.yaml", "--data", folder)[0] == 0
