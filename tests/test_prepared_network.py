"""A network that takes something from the training scenes before it learns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_drcr as nd
import toy_network
from journey import assert_same_network, train_straight_and_resumed
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.errors import Cancelled
from napari_drcr.models.store import read_card
from napari_drcr.training import jobs
from napari_drcr.training.config import make_config, write_config
from napari_drcr.training.jobs.folder import STOP
from napari_drcr.training.jobs.records import read_metrics
from napari_drcr.training.run import start_run
from napari_drcr.training.sections import TrainingConfig

pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy_network.install(monkeypatch, tmp_path)


@pytest.fixture
def prepared(config: TrainingConfig) -> TrainingConfig:
    """Two training scenes, one of them with sides that the network does not take."""
    assert config.data.folder is not None
    nd.write_cube(config.data.folder / "Train_spectral" / "scene_3.mat", synthetic_scene(36, 52, seed=3))
    content = config.model_dump(mode="json") | {"network": {"architecture": "prepared_toy"}}
    return make_config(content, learning__steps=8, learning__batch=2)


def mean_spectrum(config: TrainingConfig) -> np.ndarray:
    assert config.data.folder is not None
    cubes = [nd.read_cube(path).values for path in sorted((config.data.folder / "Train_spectral").iterdir())]
    return np.mean([cube[:, :32, :48].mean(axis=(1, 2)) for cube in cubes], axis=0)


def test_it_is_prepared_once_and_resumed_to_the_bit(prepared: TrainingConfig, tmp_path: Path) -> None:
    straight, resumed = train_straight_and_resumed(prepared, tmp_path)
    assert toy_network.PreparedToy.calls == 2  # one a run, none where it went on
    first = nd.load_model(straight)
    assert_same_network(first, nd.load_model(resumed))
    np.testing.assert_allclose(first.estimator.mean.flatten(), mean_spectrum(prepared), atol=1e-3)
    assert "prepares itself from the training scenes" in (tmp_path / "straight" / "log.txt").read_text(encoding="utf-8")


def test_a_run_that_starts_from_a_model_keeps_what_that_has(prepared: TrainingConfig, tmp_path: Path) -> None:
    first = start_run(prepared, tmp_path / "first")
    start = {"learning__start_from": str(first), "learning__learning_rate": 1e-9, "name": "second"}
    second = start_run(make_config(prepared.model_dump(mode="json"), **start), tmp_path / "second")
    assert toy_network.PreparedToy.calls == 1
    assert torch.equal(nd.load_model(first).estimator.mean, nd.load_model(second).estimator.mean)


def test_several_processes_begin_with_the_same(prepared: TrainingConfig, tmp_path: Path) -> None:
    one = start_run(prepared, tmp_path / "one")
    write_config(tmp_path / "config.yaml", prepared)
    command = [sys.executable, "-m", "napari_drcr", "train", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "two")]
    shared = subprocess.run([*command, "--devices", "2"], capture_output=True, text=True, timeout=120)
    assert shared.returncode == 0, shared.stderr
    assert torch.equal(nd.load_model(one).estimator.mean, nd.load_model(tmp_path / "two" / "model.safetensors").estimator.mean)
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_it_can_be_stopped_while_it_is_prepared(
    prepared: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = toy_network.PreparedToy.prepare

    def stop_meanwhile(*given: object) -> None:
        (tmp_path / "run" / STOP).touch()
        prepare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(toy_network.PreparedToy, "prepare", stop_meanwhile)
    with pytest.raises(Cancelled, match="stopped at step 0"):
        start_run(prepared, tmp_path / "run")
    assert jobs.read_run(tmp_path / "run").state == "stopped"


def test_images_of_the_folder_are_those_it_sees(
    prepared: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imageio.v3 as iio

    assert prepared.data.folder is not None
    for side in ("Train", "Valid"):
        (prepared.data.folder / f"{side}_RGB").mkdir()
        for cube in (prepared.data.folder / f"{side}_spectral").iterdir():
            height, width = nd.read_cube(cube).shape[1:]
            grey = np.full((height, width, 3), 188, dtype=np.uint8)  # half of white
            iio.imwrite(prepared.data.folder / f"{side}_RGB" / f"{cube.stem}.png", grey)
    seen: list[float] = []

    def look(_self: object, _network: object, scenes: object) -> None:
        for _ in range(2):  # a second loop reads them again
            seen.extend(float(rgb.mean()) for rgb, _ in scenes)  # type: ignore[attr-defined]

    monkeypatch.setattr(toy_network.PreparedToy, "prepare", look)
    model = start_run(make_config(prepared.model_dump(mode="json"), data__rgb="files"), tmp_path / "run")
    assert seen == pytest.approx([0.5] * 4, abs=0.01)
    assert read_card(model).architecture == "prepared_toy"
