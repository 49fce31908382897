"""Several processes share a run and follow the losses of one."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.training.config import make_config, write_config
from napari_drcr.training.data import StepSampler
from napari_drcr.training.jobs.records import read_metrics
from napari_drcr.training.processes import placement
from napari_drcr.training.run import start_run
from napari_drcr.training.sections import TrainingConfig

pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    """A tiny run on the CPU."""
    for split, seeds in (("Train_spectral", (1, 2)), ("Valid_spectral", (3, 4))):
        (tmp_path / "scenes" / split).mkdir(parents=True)
        for seed in seeds:
            nd.write_cube(tmp_path / "scenes" / split / f"scene_{seed}.mat", synthetic_scene(32, 48, seed=seed))
    return make_config(
        {
            "name": "tiny",
            "device": "cpu",
            "network": {"channels": 8, "blocks": 1},
            "data": {"folder": str(tmp_path / "scenes"), "patch": 16},
            "learning": {
                "steps": 6,
                "batch": 4,
                "validate_every": 2,
                "warmup_steps": 0,
                "learning_rate": 0.01,
                "precision": "fp32",
                "ema_decay": 0.5,
            },
        }
    )


@pytest.mark.parametrize("released", [False, True])
def test_two_processes_follow_the_losses_of_one(config: TrainingConfig, tmp_path: Path, released: bool) -> None:
    config = make_config(config.model_dump(), network__released_npm=released)
    start_run(config, tmp_path / "one")
    write_config(tmp_path / "config.yaml", config)
    command = [sys.executable, "-m", "napari_drcr", "train", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "two")]
    shared = subprocess.run([*command, "--devices", "2"], capture_output=True, text=True, timeout=120)
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout.count("Best model") == 1
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two] == [2, 4, 6]
    for column in ("loss", "mrae", "learning_rate"):
        assert [row[column] for row in two] == pytest.approx([row[column] for row in one], rel=1e-5)
    # Not the weights: of those that hardly matter, Adam turns the rounding of the gradient into whole steps.
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    cubes = [nd.reconstruct(photo, model=tmp_path / name / "model.safetensors", precision="fp32") for name in ("one", "two")]
    np.testing.assert_allclose(cubes[1], cubes[0], rtol=1e-3, atol=1e-4)
    assert (tmp_path / "two" / "log.txt").read_text(encoding="utf-8").count("start on cpu") == 1


def test_processes_take_the_parts_of_each_batch(config: TrainingConfig) -> None:
    """Together, step by step, they see what one process would, also where a run goes on within a pass."""
    for step, left in ((0, 5), (5, 5), (7, 3)):
        alone = list(StepSampler(5, 6, 1, partial(tuple, (step, 0))))
        assert alone == list(range(step * 6, (step + left) * 6))
        parts = [iter(StepSampler(5, 6, 3, partial(tuple, (step, process)))) for process in range(3)]
        together = [index for _ in range(left) for part in parts for index in islice(part, 2)]
        assert together == alone


def test_what_cannot_be_shared_is_refused_in_a_sentence(config: TrainingConfig) -> None:
    with pytest.raises(nd.InputError, match=r"learning\.batch is 4, .*2 nodes cannot share evenly; choose a multiple of 6"):
        make_config(config.model_dump(), devices=3, nodes=2)
    with pytest.raises(nd.InputError, match=r"device is 'cuda:1', but a run on several devices takes them from the first on"):
        make_config(config.model_dump(), devices=2, device="cuda:1")
    with pytest.raises(nd.InputError, match="strategy is 'fsdp'"):
        make_config(config.model_dump(), strategy="fsdp")
    shared = make_config(config.model_dump(), devices=2, network__released_npm=True)
    assert placement(shared, "cpu", "fp32")["strategy"] == "ddp_find_unused_parameters_true"
    with pytest.raises(nd.InputError, match=r"'ddp' fails on this network"):
        placement(make_config(shared.model_dump(), strategy="ddp"), "cpu", "fp32")
    with pytest.raises(nd.InputError, match="devices is 2, but there"):
        placement(shared, "cuda:0", "fp32")
