"""MST++, MST-L and Restormer, against the authors' networks and files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture
from reference import billion_multiplications, count, difference, parameter, shapes_of, state_of, write_checkpoint

IDS = ["mst_plus_plus"]


@pytest.mark.parametrize("id", IDS)
def test_published_networks_compute_what_the_authors_compute(id: str) -> None:
    architecture = find_architecture(id)
    network = architecture.build(architecture.presets["published"], 31)
    assert difference(network, id, architecture.multiple) < 2e-5


@pytest.mark.parametrize(
    ("id", "parameters", "multiplications"),
    [("mst_plus_plus", 1_619_625, 84.604)],
)
def test_published_networks_have_the_published_size(id: str, parameters: int, multiplications: float) -> None:
    assert count(id, "published") == parameters
    assert billion_multiplications(id, "published") == pytest.approx(multiplications, rel=0.01)


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("bands", [5, 31])
def test_small_networks_learn_every_parameter_for_any_bands(id: str, bands: int) -> None:
    architecture = find_architecture(id)
    network = architecture.build(architecture.presets["small"], bands)
    estimate = network(torch.rand(2, 3, 32, 32))
    assert estimate.shape == (2, bands, 32, 32)
    estimate.abs().mean().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in network.parameters())
    assert count(id, "small") < 1_000_000


@pytest.mark.parametrize("id", IDS)
def test_checkpoints_of_the_toolbox_are_read(id: str, tmp_path: Path) -> None:
    architecture = find_architecture(id)
    state = state_of(shapes_of(architecture.build(architecture.settings(), 31)))
    model = nd.load_model(write_checkpoint(tmp_path / "whole.pth", {f"module.{name}": value for name, value in state.items()}))
    assert (model.card.architecture, model.encoding, model.normalisation) == (id, "as given", "range")
    assert "NTIRE 2022 winners" in model.card.recipe
    assert all(torch.equal(value, state[name]) for name, value in model.estimator.state_dict().items())

    missing = next(name for name in state if "bottleneck" in name or "latent" in name)
    less = {name: value for name, value in state.items() if name != missing}
    with pytest.raises(InputError, match=rf"less\.pth lacks 1 of the {len(state)} parameters of a .*: {missing}\."):
        nd.load_model(write_checkpoint(tmp_path / "less.pth", less))
    more = state | {"extra.weight": parameter("extra.weight", (3,))}
    with pytest.raises(InputError, match=r"more\.pth has parameters that .* does not: extra\.weight\."):
        nd.load_model(write_checkpoint(tmp_path / "more.pth", more))


def test_stages_are_found_from_names(tmp_path: Path) -> None:
    architecture = find_architecture("mst_plus_plus")
    state = state_of(shapes_of(architecture.build(architecture.settings(stages=2), 31)))
    assert nd.load_model(write_checkpoint(tmp_path / "two.pth", state)).settings == architecture.settings(stages=2)
