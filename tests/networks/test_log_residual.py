"""The log-residual network: where it starts, what it can be given, and in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.graph import Graph
from napari_drcr.models.log_residual.architecture import LogResidualSettings
from napari_drcr.models.log_residual.network import DARKEST, LogResidualNet
from napari_drcr.models.pixel_map import PixelMap, fit_pixel_map
from reference import billion_multiplications, count, difference_in_pieces

NETWORK = find_architecture("log_residual")


def scene(seed: int, bands: int = 31, side: int = 24) -> tuple[Tensor, Tensor]:
    """Smooth spectra, all brighter than the floor of the fit, and what broad curves of sensitivity see of them."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(0, 1, bands)
    waves = torch.stack([torch.cos(torch.pi * order * axis) for order in range(4)])
    coefficients = torch.randn(4, side, side, generator=generator) * torch.tensor([0.6, 0.4, 0.3, 0.2])[:, None, None]
    cube = torch.einsum("kb,kyx->byx", waves, coefficients).sigmoid()
    curves = torch.exp(-(((axis - torch.tensor([0.8, 0.5, 0.2])[:, None]) / 0.15) ** 2))
    return torch.einsum("cb,byx->cyx", curves / curves.sum(dim=1, keepdim=True), cube), cube


def prepared(scenes: list[tuple[Tensor, Tensor]], **settings: object) -> LogResidualNet:
    network = NETWORK.build(LogResidualSettings.model_validate(settings), len(scenes[0][1])).eval()
    with torch.no_grad():
        NETWORK.prepare(network, iter(scenes))
    assert isinstance(network, LogResidualNet)
    return network


def fitted(kind: str, scenes: list[tuple[Tensor, Tensor]]) -> PixelMap:
    """The classical map of the least squared relative error."""
    pairs = [(rgb.flatten(1).T.numpy(), cube.flatten(1).T.numpy()) for rgb, cube in scenes]
    return fit_pixel_map(kind, pairs, iterations=1)


@pytest.mark.parametrize("kind", ["polynomial", "linear"])
@pytest.mark.parametrize("bands", [31, 5])
def test_it_starts_as_the_classical_map(kind: str, bands: int) -> None:
    scenes = [scene(seed, bands) for seed in range(2)]
    network, classical = prepared(scenes, start=kind), fitted(kind, scenes)
    rgb = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.25
    with torch.no_grad():
        estimate = network(rgb[None])[0].numpy()
    expected = classical.apply(rgb.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(estimate, np.maximum(expected, DARKEST), atol=1e-5)
    assert (expected > DARKEST).mean() > 0.9


def test_dark_entries_count_little_and_black_scenes_nothing() -> None:
    rgb, cube = scene(0, bands=5)
    black = torch.zeros_like(rgb), torch.zeros_like(cube)
    table = prepared([(rgb, cube)]).start.table.weight
    torch.testing.assert_close(prepared([(rgb, cube), black]).start.table.weight, table, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        assert bool((prepared([black])(rgb[None]) == DARKEST).all())


def test_grey_scenes_give_a_modest_table() -> None:
    """All features are equal, so the smallest table shares the factor among them, and colours stay in range."""
    grey = torch.linspace(0.02, 1, 400).reshape(1, 20, 20)
    network = prepared([(grey.expand(3, -1, -1), grey.expand(5, -1, -1))])
    torch.testing.assert_close(network.start.table.weight.flatten(1), torch.full((5, 6), 1 / 6), rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [-0.1, 0.0, 1.0, 2.0])
def test_images_of_one_value_give_finite_values_and_gradients(value: float) -> None:
    torch.manual_seed(0)
    network = prepared([scene(0)]).train()
    torch.nn.init.normal_(network.tail.weight, std=0.01)
    rgb = torch.full((1, 3, 12, 12), value, requires_grad=True)
    cube = network(rgb)
    cube.sum().backward()
    assert bool((cube > 0).all())
    assert bool(cube.isfinite().all())
    gradients = [rgb.grad, *(parameter.grad for parameter in network.parameters())]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


def test_one_pass_in_pieces_gives_the_whole_image() -> None:
    with torch.device("meta"):
        graph = Graph(NETWORK.build(NETWORK.presets["published"], 31))
    assert (len(graph.passes), graph.reach) == (1, 18)
    assert difference_in_pieces("log_residual") < 1e-5


def test_sizes_and_cost() -> None:
    assert [count("log_residual", preset) for preset in ("published", "small")] == [349_225, 85_177]
    assert billion_multiplications("log_residual", "published") == pytest.approx(86.0, rel=0.01)


def test_it_learns_what_the_classical_map_cannot_tell() -> None:
    """Spectra that do not scale with exposure, as root polynomials do."""
    torch.manual_seed(0)
    scenes = [(rgb, cube.square()) for rgb, cube in (scene(seed) for seed in range(2))]
    network = prepared(scenes, channels=8, blocks=1).train()
    rgb, cube = (torch.stack(each) for each in zip(*scenes, strict=True))
    optimizer = torch.optim.Adam(network.parameters(), lr=NETWORK.learning_rate)
    losses = []
    for _ in range(40):
        loss = ((network(rgb) - cube).abs() / cube.clamp_min(0.01)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
