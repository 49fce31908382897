"""Networks of the residual frame, against the authors' networks and files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture, read_settings
from napari_drcr.models.graph import Graph
from napari_drcr.models.layers import Interpolation
from napari_drcr.models.residual.attention import LayerAttention, PatchAttention
from napari_drcr.models.residual.frame import ResidualNetwork
from napari_drcr.models.residual.inputs import NineChannels
from napari_drcr.models.store import Card, Model, save_model
from napari_drcr.system.steps import run_to_end
from reference import FOLDER, billion_multiplications, count, parameter, shapes_of, state_of, write_checkpoint

IDS = [
    "hscnn_r",
    "edsr",
    "lfb",
    "hscnn_plus_tic",
    "rpan",
    "mean_residual",
    "rcan",
    "rcan_chain",
    "han",
    "han_eca",
    "rdan",
    "drca",
]

PUBLISHED_NAMES = {
    "hscnn_r": (
        (r"head", r"input_conv"),
        (r"body\.units\.(\d+)\.(conv[12])", r"conv_seq.\1.\2"),
        (r"body\.close", r"conv"),
        (r"tail", r"output_conv"),
    ),
    "edsr": (
        (r"(head|tail)", r"\1.0"),
        (r"body\.units\.(\d+)\.conv1", r"body.\1.body.0"),
        (r"body\.units\.(\d+)\.conv2", r"body.\1.body.2"),
        (r"body\.close", r"body.32"),
    ),
    "rcan": (
        (r"(head|tail)", r"\1.0"),
        (r"body\.(?:units|groups)\.(\d+)\.units\.(\d+)\.conv1", r"body.\1.body.\2.body.0"),
        (r"body\.(?:units|groups)\.(\d+)\.units\.(\d+)\.conv2", r"body.\1.body.\2.body.2"),
        (r"body\.(?:units|groups)\.(\d+)\.units\.(\d+)\.attention\.gate\.(\d)", r"body.\1.body.\2.body.3.conv_du.\3"),
        (r"body\.(?:units|groups)\.(\d+)\.close", r"body.\1.body.BLOCKS"),
        (r"body\.close", r"body.GROUPS"),
        (r"body\.layers", r"la"),
        (r"body\.layers.conv", r"last_conv"),
        (r"body\.volume(.*)", r"csa\1"),
        (r"body\.fuse", r"last"),
    ),
}
"""Our names of modules, and the authors'."""


def published_name(id: str, name: str) -> str:
    module, _, kind = name.rpartition(".")
    return next(
        f"{match.expand(theirs)}.{kind}" for ours, theirs in PUBLISHED_NAMES[id] if (match := re.fullmatch(ours, module))
    )


def published_state(id: str, network: nn.Module, gain: float = 1.0) -> dict[str, Tensor]:
    """Parameters by rule, under the authors' names."""
    return state_of({published_name(id, name): shape for name, shape in shapes_of(network).items()}, gain)


@pytest.mark.parametrize(
    ("id", "name", "sizes", "bands"),
    [
        ("rcan", "rcan_small", {"channels": 16, "groups": 2, "blocks": 2, "reduction": 4}, 31),
        ("rcan", "rcan_g1b5", {"channels": 64, "groups": 1, "blocks": 5, "reduction": 16}, 3),
        ("rcan", "rcan_g1b10", {"channels": 64, "groups": 1, "blocks": 10, "reduction": 16}, 31),
        ("han", "han_g6b12", {"channels": 64, "groups": 6, "blocks": 12, "reduction": 16, "mean_energies": False}, 31),
    ],
)
def test_rcan_and_han_compute_what_the_authors_compute(id: str, name: str, sizes: dict[str, int], bands: int) -> None:
    architecture = find_architecture(id)
    network = architecture.build(architecture.settings(**sizes), bands)
    rgb, gain = stored(name)
    numbers = {"GROUPS": str(sizes["groups"]), "BLOCKS": str(sizes["blocks"])}
    for ours, value in network.state_dict().items():
        theirs = re.sub("|".join(numbers), lambda match: numbers[match[0]], published_name("rcan", ours))
        value.copy_(parameter(theirs, tuple(value.shape), gain))
    with torch.inference_mode():
        assert difference(network(rgb), name) < 2e-5


def difference(estimate: Tensor, name: str) -> float:
    """From a stored output, relative to its largest value."""
    expected = np.load(FOLDER / f"{name}.npz")["output"]
    return float(np.abs(estimate.numpy() - expected).max() / np.abs(expected).max())


def stored(name: str) -> tuple[Tensor, float]:
    """The input of a stored output, and its gain."""
    content = np.load(FOLDER / f"{name}.npz")
    return torch.from_numpy(content["input"]), float(content["gain"])


@pytest.mark.parametrize(("id", "normalisation"), [("hscnn_r", "white"), ("edsr", "range")])
def test_published_checkpoints_compute_what_the_authors_compute(id: str, normalisation: str, tmp_path: Path) -> None:
    architecture = find_architecture(id)
    rgb, gain = stored(id)
    with torch.device("meta"):
        network = architecture.build(architecture.presets["published"], 31)
    state = published_state(id, network, gain)
    model = nd.load_model(write_checkpoint(tmp_path / "whole.pth", {f"module.{name}": value for name, value in state.items()}))
    assert (model.card.architecture, model.encoding, model.normalisation) == (id, "as given", normalisation)
    assert model.settings == architecture.presets["published"]
    with torch.inference_mode():
        assert difference(model.estimator(rgb), id) < 2e-5

    missing = published_name(id, "body.units.3.conv2.weight")
    less = {name: value for name, value in state.items() if name != missing}
    with pytest.raises(
        InputError, match=rf"less\.pth lacks 1 of the {len(state)} parameters of a .*: body\.units\.3\.conv2\.weight\."
    ):
        nd.load_model(write_checkpoint(tmp_path / "less.pth", less))
    more = state | {"extra.weight": parameter("extra.weight", (3,))}
    with pytest.raises(InputError, match=r"more\.pth has parameters that .* does not: extra\.weight\."):
        nd.load_model(write_checkpoint(tmp_path / "more.pth", more))
    headless = {name: value for name, value in state.items() if not name.startswith(published_name(id, "head.weight"))}
    with pytest.raises(InputError, match=r"headless\.pth lacks the first convolution of"):
        nd.load_model(write_checkpoint(tmp_path / "headless.pth", headless))


@pytest.mark.parametrize(
    ("id", "parameters", "multiplications"),
    [
        ("hscnn_r", 1_238_303, 305.05),
        ("edsr", 2_419_999, 596.17),
        ("lfb", 609_480, 150.4),
        ("hscnn_plus_tic", 432_243, 105.8),
        ("rpan", 2_804_864, 692.2),
        ("mean_residual", 1_279_007, 314.6),
        ("rcan_chain", 449_559 + 449_559 + 837_895, 110.02 + 110.02 + 204.98),
        ("han", 7_457_577, 1826.77),
        ("han_eca", 5_951_141, 1468.2),
        ("rdan", 882_695, 719.2),
        ("drca", 4_505_713, 1112 * 512 / 482),
    ],
)
def test_published_networks_have_the_published_size(id: str, parameters: int, multiplications: float) -> None:
    assert count(id, "published") == parameters
    assert billion_multiplications(id, "published") == pytest.approx(multiplications, rel=0.01)


def test_rcan_has_the_size_of_the_paper_without_enlargement() -> None:
    enlargement, for_colours, for_bands, means_of_colours = 147_712, 3 * 577, 31 * 577, 24
    assert count("rcan", "published") == 15_444_667 - enlargement - for_colours - means_of_colours + for_bands


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("bands", [5, 31])
def test_small_networks_learn_every_parameter_for_any_bands(id: str, bands: int) -> None:
    architecture = find_architecture(id)
    torch.manual_seed(0)
    network = architecture.build(architecture.settings(), bands)
    assert architecture.presets["small"] == architecture.settings()
    assert count(id, "small") < 1_000_000
    rgb = torch.rand(2, 3, 32, 32)
    estimate = network(rgb)
    assert estimate.shape == (2, bands, 32, 32)
    (estimate - 1).square().mean().backward()
    assert all(value.grad is not None for value in network.parameters())


@pytest.mark.parametrize("id", [id for id in IDS if id != "drca"])
def test_pieces_give_the_whole_image(id: str) -> None:
    architecture = find_architecture(id)
    torch.manual_seed(0)
    network = architecture.build(architecture.settings(blocks=1), 3)
    for value in network.parameters():
        if not value.any():  # What starts with zeros has to be seen.
            nn.init.uniform_(value, -0.1, 0.1)
    execution = architecture.execution(network, architecture.settings(blocks=1), "cpu", torch.float32)
    rgb = torch.rand(3, 48, 40)
    cube = run_to_end(execution.run(rgb, side=16, size=(48, 40))).cube
    with torch.inference_mode():
        whole = network(rgb[None])[0]
    assert execution.in_pieces
    assert (cube - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.mark.parametrize(("id", "reach"), [("hscnn_r", 35), ("edsr", 67), ("lfb", 18), ("rpan", 70)])
def test_local_networks_take_one_pass(id: str, reach: int) -> None:
    architecture = find_architecture(id)
    with torch.device("meta"):
        graph = Graph(architecture.build(architecture.presets["published"], 31))
    assert (len(graph.passes), graph.reach) == (1, reach)


def test_lfb_starts_from_the_linear_estimate(tmp_path: Path) -> None:
    """Spectra of three dimensions follow exactly from their colours, whatever the camera."""
    architecture = find_architecture("lfb")
    torch.manual_seed(0)
    network = architecture.build(architecture.settings(), 31)
    assert isinstance(network, ResidualNetwork)
    basis, response = torch.rand(31, 3), torch.rand(3, 31)
    cubes = [torch.einsum("bk,kyx->byx", basis, torch.rand(3, 40, side)) for side in (30, 20)]
    scenes = [(torch.einsum("cb,byx->cyx", response, cube), cube) for cube in cubes]
    architecture.prepare(network, iter(scenes))
    with torch.inference_mode():
        for rgb, cube in scenes:
            torch.testing.assert_close(network(rgb[None])[0], cube, rtol=1e-3, atol=1e-3)

    card = Card(name="mine", architecture="lfb")
    save_model(tmp_path / "mine.safetensors", Model(card, network), half=False)
    read = nd.load_model(tmp_path / "mine.safetensors")
    with torch.inference_mode():
        assert torch.equal(read.estimator(scenes[0][0][None]), network(scenes[0][0][None]))


def test_lfb_without_a_linear_estimate_has_nothing_to_prepare() -> None:
    architecture = find_architecture("lfb")
    network = architecture.build(architecture.settings(linear_start=False), 31)
    architecture.prepare(network, [])
    assert "base.matrix" not in network.state_dict()
    assert network.head[0].padding_mode == "zeros"


def test_attention_to_layers_has_one_scale_for_images_of_every_size() -> None:
    torch.manual_seed(0)
    crop = [0.1 * torch.rand(1, 8, 64, 64) for _ in range(3)]
    larger = [each.repeat(1, 1, 2, 3) for each in crop]
    for mean_energies in (True, False):
        weights = LayerAttention(3, 8, mean_energies=mean_energies).weights
        assert torch.allclose(weights(*crop), weights(*larger), atol=1e-4) == mean_energies


@pytest.mark.parametrize("patch", [4, 8])
def test_patches_are_matched_row_by_row_as_at_once(patch: int) -> None:
    torch.manual_seed(0)
    match = PatchAttention(16, patch).match
    maps = [torch.rand(1, 2, 16, 24) for _ in range(3)]
    tokens = [nn.functional.unfold(each, patch, stride=patch).mT for each in maps]
    expected = torch.softmax(tokens[0] @ tokens[1].mT, dim=-1) @ tokens[2]
    whole = match(*maps)
    torch.testing.assert_close(whole, nn.functional.fold(expected.mT, (16, 24), patch, stride=patch))
    joined = torch.full_like(whole, torch.nan)
    for (rows, columns), part in match.parts(*maps):
        joined[:, :, rows, columns] = part
    torch.testing.assert_close(joined, whole)


def test_derived_channels() -> None:
    rgb = torch.tensor([[0.2, 0.6], [0.1, 0.3], [0.4, 0.0]])[None, :, None]
    nine = NineChannels()(rgb)[0, :, 0]
    torch.testing.assert_close(nine[:3], rgb[0, :, 0])
    torch.testing.assert_close(nine[3:6].mean(dim=1), nine[3:6].mean().expand(3))
    torch.testing.assert_close(nine[6:] ** 2.2, rgb[0, :, 0])
    assert NineChannels()(torch.zeros(1, 3, 2, 2)).isfinite().all()
    spread = Interpolation(31)(rgb)[0, :, 0, 0]
    torch.testing.assert_close(spread[[0, 15, 30]], rgb[0, :, 0, 0])
    torch.testing.assert_close(spread[5], (2 * rgb[0, 0, 0, 0] + rgb[0, 1, 0, 0]) / 3)


def test_the_residual_has_no_mean_of_its_own() -> None:
    architecture = find_architecture("mean_residual")
    network = architecture.build(architecture.settings(channels=8, blocks=1), 4)
    rgb = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(network(rgb).mean(dim=(2, 3)), network.brightness(rgb)[:, :, 0, 0])


def test_attention_needs_a_channel() -> None:
    for id in ("hscnn_plus_tic", "rcan", "rcan_chain", "han", "drca"):
        with pytest.raises(InputError, match="reduction is 16: Value error, reduction 16 leaves nothing of 8 channels"):
            read_settings({"architecture": id, "channels": 8, "reduction": 16})


def test_patches_of_drca_are_independent() -> None:
    architecture = find_architecture("drca")
    torch.manual_seed(0)
    settings = architecture.settings(channels=8)
    network = architecture.build(settings, 3).eval()
    rgb = torch.rand(3, 140, 100)
    with torch.inference_mode():
        whole = network(rgb[None])[0]
        patch = network(rgb[None, :, 64:128, :64])[0]
    torch.testing.assert_close(whole[:, 64:128, :64], patch)
    execution = architecture.execution(network, settings, "cpu", torch.float32)
    cube = run_to_end(execution.run(rgb, side=64, size=(140, 100))).cube
    torch.testing.assert_close(cube, whole)
    window = execution.window(rgb, None, (60, 30, 70, 90))
    torch.testing.assert_close(window, whole[:, 60:70, 30:90])
