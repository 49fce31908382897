"""Networks of the residual frame, against the authors' networks and files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.extent import Local, Statistic, WholeMap
from napari_drcr.models.residual.frame import ResidualNetwork
from napari_drcr.models.store import Card, Model, save_model
from reference import FOLDER, billion_multiplications, count, parameter, shapes_of, state_of, write_checkpoint

IDS = ["hscnn_r", "edsr", "lfb"]
LOCAL = ["hscnn_r", "edsr", "lfb"]

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
    [("hscnn_r", 1_238_303, 305.05), ("edsr", 2_419_999, 596.17), ("lfb", 609_480, 149.98)],
)
def test_published_networks_have_the_published_size(id: str, parameters: int, multiplications: float) -> None:
    assert count(id, "published") == parameters
    assert billion_multiplications(id, "published") == pytest.approx(multiplications, rel=0.01)


class PartsTracer(fx.Tracer):
    """Leaves whole what looks at whole images, or is not taken apart."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (Statistic, WholeMap, Local)) or super().is_leaf_module(m, module_qualified_name)


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
    traced = fx.GraphModule(network, PartsTracer().trace(network))
    torch.testing.assert_close(traced(rgb), estimate)


@pytest.mark.parametrize("id", LOCAL)
def test_local_networks_look_as_far_as_they_say(id: str) -> None:
    architecture = find_architecture(id)
    torch.manual_seed(0)
    settings = architecture.settings(channels=4, blocks=2)
    network = architecture.build(settings, 1)
    for value in network.parameters():  # Fixup starts with zeros.
        nn.init.uniform_(value, -0.3, 0.5)
    context = architecture.context(settings)
    assert context is not None
    rgb = torch.rand(1, 3, 2 * context + 3, 2 * context + 3, requires_grad=True)
    network(rgb)[0, 0, context + 1, context + 1].backward()
    assert rgb.grad is not None
    reached = rgb.grad[0].abs().amax(dim=0)
    assert (reached[[0, -1]] == 0).all()
    assert reached[1].max() > 0


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
