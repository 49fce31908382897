"""MST++, MST-L and Restormer, against the authors' networks and files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import NetworkSettings, find_architecture
from napari_drcr.models.spectral_attention.architecture import MSTLSettings, RestormerSettings
from napari_drcr.models.spectral_attention.mst import MSTL
from reference import (
    billion_multiplications,
    count,
    difference,
    difference_in_pieces,
    parameter,
    shapes_of,
    state_of,
    write_checkpoint,
)

IDS = ["mst_plus_plus", "mst_l", "restormer"]


@pytest.mark.parametrize("id", IDS)
def test_published_networks_compute_what_the_authors_compute(id: str) -> None:
    architecture = find_architecture(id)
    network = architecture.build(architecture.presets["published"], 31)
    assert difference(network, id, architecture.multiple) < 2e-5


@pytest.mark.parametrize(
    ("id", "parameters", "multiplications"),
    [("mst_plus_plus", 1_619_625, 84.604), ("mst_l", 2_450_978, 120.693), ("restormer", 15_108_705, 357.507)],
)
def test_published_networks_have_the_published_size(id: str, parameters: int, multiplications: float) -> None:
    assert count(id, "published") == parameters
    assert billion_multiplications(id, "published") == pytest.approx(multiplications, rel=0.01)


@pytest.mark.parametrize("id", IDS)
def test_pieces_give_the_whole_images_answer(id: str) -> None:
    assert difference_in_pieces(id) < 2e-5


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


def test_small_mst_computes_what_the_authors_compute() -> None:
    assert difference(MSTL(31, (1, 1)), "mst_small", 8) < 2e-5


@pytest.mark.parametrize("of_first", [True, False])
def test_mask_is_that_of_the_image_or_of_the_first_of_the_batch(of_first: bool) -> None:
    network = MSTL(5, (1, 1), mask_of_first=of_first)
    first, second = torch.rand(2, 1, 3, 16, 16)
    with torch.inference_mode():
        alone = torch.cat((network(first), network(second)))
        together = network(torch.cat((first, second)))
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert torch.allclose(together[1], alone[1], atol=1e-5) != of_first


@pytest.mark.parametrize("settings", [MSTLSettings(blocks=(2, 1, 3)), RestormerSettings(channels=4, blocks=(1, 2, 3, 1))])
def test_sizes_are_found_from_names_and_shapes(settings: NetworkSettings, tmp_path: Path) -> None:
    architecture = find_architecture(settings.architecture)
    state = state_of(shapes_of(architecture.build(settings, 31)))
    hints = architecture.foreign[0].hints
    assert nd.load_model(write_checkpoint(tmp_path / "sizes.pth", state)).settings == settings.model_copy(update=hints)
