"""What a run will take is measured in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.training.config import make_config
from napari_drcr.training.probe import probe
from napari_drcr.training.sections import TrainingConfig


@pytest.fixture
def config(tmp_path: Path, own_folders: None) -> TrainingConfig:
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / split).mkdir()
        nd.write_cube(tmp_path / split / f"scene_{seed}.nc", synthetic_scene(48, 64, seed=seed))
    return make_config(
        {
            "device": "cpu",
            "network": {"channels": 16, "blocks": 1},
            "data": {"folder": str(tmp_path), "patch": 32},
            "learning": {"steps": 50, "batch": 4, "validate_every": 20, "precision": "fp32"},
        }
    )


def test_memory_and_time_are_those_of_a_few_steps(config: TrainingConfig, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    found = probe(config)
    assert (found.steps, found.device, found.precision) == (50, "cpu", "fp32")
    assert 0.001 < found.seconds_per_step < 5
    assert found.seconds_per_epoch > 20 * found.seconds_per_step
    assert found.seconds > 50 * found.seconds_per_step
    activations = 4 * 32 * 32 * 16 * 4  # bytes of one feature map of the batch, of which a step holds some
    assert found.memory_bytes is None or 5 * activations < found.memory_bytes < 2**31
    assert {path.name for path in tmp_path.iterdir()} - before <= {"cache"}


def test_too_little_memory_is_said_in_a_sentence(config: TrainingConfig) -> None:
    with pytest.raises(nd.InputError, match=r"a step of 4 patches of 32 x 32 does not fit .* choose a smaller learning\.batch"):
        probe(make_config(config.model_dump(), network__channels=2**20))


def test_what_training_would_refuse_the_probe_refuses(config: TrainingConfig) -> None:
    with pytest.raises(nd.InputError, match=r"^scene_1 is smaller than data\.patch = 64 pixels; choose a smaller patch\.$"):
        probe(make_config(config.model_dump(), data__patch=64))


def test_a_probe_can_be_cancelled(config: TrainingConfig) -> None:
    with pytest.raises(nd.Cancelled):
        probe(config, cancelled=lambda: True)
