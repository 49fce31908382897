"""What every registered network that learns must do, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.models.architecture import Architecture, architectures
from napari_drcr.models.store import Card, Model, load_model, save_model
from napari_drcr.training.config import make_config
from napari_drcr.training.module import TrainingModule

FAMILIES = {
    "channel attention",
    "dense",
    "per pixel",
    "pyramid",
    "residual",
    "spectral attention",
    "U-Net",
    "unrolled",
}
LARGEST = 1_000_000
"""Parameters of a small preset."""
TRAINABLE = [architecture for architecture in architectures() if architecture.trainable]

each_network = pytest.mark.parametrize("architecture", TRAINABLE, ids=lambda architecture: architecture.id)


def side_for(architecture: Architecture) -> int:
    return 32 + -32 % architecture.multiple


@pytest.fixture(scope="module")
def scene() -> tuple[Tensor, Tensor]:
    """A photo as networks take it (3, y, x), and its cube (31, y, x)."""
    cube, camera = synthetic_scene(64, 64), find_camera("photo")
    linear = np.tensordot(cube.values, camera.response(WAVELENGTHS, "reflectance"), axes=(0, 0))
    pixels = camera.develop(linear, np.random.default_rng(0))
    return torch.from_numpy(camera.decode(np.moveaxis(pixels, -1, 0))), torch.from_numpy(cube.values)


@each_network
def test_it_says_what_it_is(architecture: Architecture) -> None:
    assert architecture.id == architecture.id.lower()
    assert architecture.title
    assert architecture.family in FAMILIES
    assert 2010 < architecture.year <= 2030
    assert architecture.reference != architecture.paper
    assert architecture.reference.split()[0] == architecture.paper.split()[0]
    assert len(architecture.reference) < 80
    assert 1e-5 <= architecture.learning_rate <= 1e-2
    assert all(sentence.endswith(".") for sentence in architecture.assumptions)
    assert architecture.presets.keys() >= {"published", "small"}
    assert architecture.presets["small"] == architecture.settings.model_validate({"architecture": architecture.id})


@each_network
@pytest.mark.parametrize("bands", [31, 5])
def test_small_is_small_and_estimates_any_number_of_bands(architecture: Architecture, bands: int) -> None:
    torch.manual_seed(0)
    network = architecture.build(architecture.presets["small"], bands).eval()
    assert architecture.count(network) < LARGEST
    side = side_for(architecture)
    with torch.no_grad():
        cube = network(torch.rand(2, 3, side, side))
    assert cube.shape == (2, bands, side, side)
    assert bool(cube.isfinite().all())


@each_network
def test_a_training_step_reaches_every_parameter(architecture: Architecture, scene: tuple[Tensor, Tensor]) -> None:
    settings = architecture.presets["small"]
    config = make_config({"network": settings.model_dump(), "data": {"patch": 64}, "learning": {"warmup_steps": 0}})
    torch.manual_seed(0)
    module = TrainingModule(config)
    if architecture.prepared:
        with torch.no_grad():
            architecture.prepare(module.network, [scene])
    optimizer = module.configure_optimizers()["optimizer"]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(architecture.learning_rate)
    side = side_for(architecture)
    rgb, cube = (torch.stack([each[:, :side, :side], each[:, -side:, -side:]]) for each in scene)
    loss = module.training_step((rgb, cube), 0)
    loss.backward()
    optimizer.step()
    reached = {name: parameter.grad is not None for name, parameter in module.network.named_parameters()}
    assert settings.has_unused_parameters or all(reached.values()), [name for name, there in reached.items() if not there]
    assert bool(torch.stack([parameter.isfinite().all() for parameter in module.network.parameters()]).all())


@each_network
def test_its_model_file_holds_all_of_it(architecture: Architecture, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = architecture.presets["small"]
    network = architecture.build(settings, len(WAVELENGTHS)).eval().requires_grad_(False)
    card = Card(name="mine", architecture=architecture.id, settings=settings.model_dump(exclude={"architecture"}))
    save_model(tmp_path / "mine.safetensors", Model(card, network), half=False)
    read = load_model(tmp_path / "mine.safetensors")
    assert read.card == card
    assert read.settings == settings
    assert read.parameters == architecture.count(network)
    rgb = torch.rand(1, 3, side_for(architecture), side_for(architecture))
    with torch.no_grad():
        torch.testing.assert_close(read.estimator(rgb), network(rgb), rtol=0, atol=0)


@each_network
def test_presets_can_be_built(architecture: Architecture) -> None:
    for settings in architecture.presets.values():
        assert settings.architecture == architecture.id
        with torch.device("meta"):
            network = architecture.build(settings, len(WAVELENGTHS))
        assert architecture.count(network) > 0
        assert settings.summary() or type(settings).model_fields.keys() == {"architecture"}
