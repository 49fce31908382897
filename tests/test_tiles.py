"""Tile by tile is the whole image."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import torch

from napari_drcr.network import DRCRNet
from napari_drcr.tiles import run_tiled


def finish(steps: Generator[tuple[int, int], None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(params=[True, False], ids=["released NPM", "paper's NPM"])
def network(request: pytest.FixtureRequest) -> DRCRNet:
    torch.manual_seed(0)
    network = DRCRNet(channels=16, blocks=3, released_npm=request.param).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "gate" in name:
                parameter *= 20  # gates that depend on the image, as a trained network has them
    return network


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 100), (132, 68), (36, 260)])
@pytest.mark.parametrize("side", [8, 32, 52, 1000])
def test_equals_the_whole_image(network: DRCRNet, height: int, width: int, side: int) -> None:
    rgb = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(rgb[None])[0]
    assert (finish(run_tiled(network, rgb, side=side)) - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_gates_of_single_tiles_would_not_do() -> None:
    torch.manual_seed(0)
    network = DRCRNet(channels=16, blocks=1)
    with torch.inference_mode():
        bright, dark = network.blocks[0].gates(torch.ones(1, 16))[0], network.blocks[0].gates(torch.zeros(1, 16))[0]
    assert not torch.allclose(bright, dark)


def test_progress_counts_every_tile_and_ends_full(network: DRCRNet) -> None:
    steps = list(run_tiled(network, torch.rand(3, 64, 64), side=32))
    assert steps[0] == (1, 4 * 5)
    assert steps[-1] == (20, 20)


def test_the_callers_gradients_are_untouched_while_it_runs(network: DRCRNet) -> None:
    next(run_tiled(network, torch.rand(3, 64, 64), side=32))
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
