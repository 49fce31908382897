"""Piece by piece is the whole image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_drcr.errors import InputError
from napari_drcr.models import feature_map
from napari_drcr.models.drcr.network import DRCRNet
from napari_drcr.models.drcr.tiles import Strips
from napari_drcr.models.feature_map import FeatureMap
from napari_drcr.models.store import load_model, shipped_models
from napari_drcr.system.steps import run_to_end

SIZES = [(8, 8), (64, 100), (132, 68), (36, 260), (12, 64)]
SIDES = [4, 8, 31, 32, 52, 1000]
"""Strips of one row, of some that do not divide the height, with a remainder of one row, and larger than the image."""


def whole_image(network: DRCRNet, rgb: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(rgb[None])[0]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest, over the largest absolute value."""
    return float((one - other).abs().max() / other.abs().max())


def image(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=[True, False], ids=["released NPM", "paper's NPM"])
def network(request: pytest.FixtureRequest) -> DRCRNet:
    torch.manual_seed(0)
    network = DRCRNet(channels=16, blocks=3, released_npm=request.param).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "gate" in name:
                parameter *= 20  # gates that depend on the image, as a trained network has them
    return network


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("side", SIDES)
def test_equals_the_whole_image(network: DRCRNet, height: int, width: int, side: int) -> None:
    rgb = image(height, width)
    answer = run_to_end(Strips(network, "cpu", torch.float32).run(rgb, side=side))
    assert difference(answer.cube, whole_image(network, rgb)) <= 1e-5


@pytest.mark.parametrize("rows", [1, 3, 5, 63, 64])
def test_a_remainder_of_one_row_and_strips_lower_than_a_block_is_deep(network: DRCRNet, rows: int) -> None:
    rgb = image(64, 4)
    answer = run_to_end(Strips(network, "cpu", torch.float32).run(rgb, side=int(np.ceil(np.sqrt(4 * rows)))))
    assert difference(answer.cube, whole_image(network, rgb)) <= 1e-5


@pytest.mark.parametrize("name", [name for name in shipped_models() if load_model(name).architecture.id == "drcr"])
@pytest.mark.parametrize("side", [24, 50])
def test_shipped_models_give_the_whole_image_answer(name: str, side: int) -> None:
    network = load_model(name).estimator
    assert isinstance(network, DRCRNet)
    rgb = image(76, 52)
    answer = run_to_end(Strips(network, "cpu", torch.float32).run(rgb, side=side))
    assert difference(answer.cube, whole_image(network, rgb)) <= 1e-5


@pytest.mark.parametrize("without", ["purification", "recalibration"])
def test_ablated_networks_as_well(without: str) -> None:
    torch.manual_seed(0)
    network = DRCRNet(channels=16, blocks=2, **{without: False}).eval()
    rgb = image(40, 36)
    answer = run_to_end(Strips(network, "cpu", torch.float32).run(rgb, side=12))
    assert difference(answer.cube, whole_image(network, rgb)) <= 1e-5


def test_half_precision_differs_by_its_rounding_only() -> None:
    network = load_model("photo-drcr").estimator
    assert isinstance(network, DRCRNet)
    rgb = image(64, 64)
    answer = run_to_end(Strips(network, "cpu", torch.bfloat16).run(rgb, side=24))
    assert 1e-5 < difference(answer.cube, whole_image(network, rgb)) < 0.03


def test_placing_leaves_the_network_as_it_was(network: DRCRNet) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run_to_end(Strips(network, "cpu", torch.bfloat16).run(image(16, 16)))
    assert all(
        value.dtype == torch.float32 and torch.equal(value, before[name]) for name, value in network.state_dict().items()
    )


def test_padding_is_left_out_of_the_cube(network: DRCRNet) -> None:
    strips, rgb = Strips(network, "cpu", torch.float32), image(20, 16)
    whole, part = run_to_end(strips.run(rgb)), run_to_end(strips.run(rgb, side=4, size=(17, 14)))
    assert part.cube.shape == (31, 17, 14)
    assert difference(part.cube, whole.cube[:, :17, :14]) <= 1e-5


def test_gates_of_single_tiles_would_not_do() -> None:
    torch.manual_seed(0)
    network = DRCRNet(channels=16, blocks=1)
    with torch.inference_mode():
        bright, dark = network.blocks[0].gates(torch.ones(1, 16))[0], network.blocks[0].gates(torch.zeros(1, 16))[0]
    assert not torch.allclose(bright, dark)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_window_is_computed_by_itself(network: DRCRNet, height: int, width: int) -> None:
    strips, rgb = Strips(network, "cpu", torch.float32), image(height, width)
    answer = run_to_end(strips.run(rgb))
    corners = [(0, 0, 1, 1), (height - 1, width - 1, height, width), (0, width - 3, 5, width)]
    for top, left, bottom, right in [
        *corners,
        (height // 2, width // 3, height // 2 + 1, width // 3 + 2),
        (0, 0, height, width),
    ]:
        window = strips.window(rgb, answer.gathered, (top, left, bottom, right))
        assert (window - answer.cube[:, top:bottom, left:right]).abs().max() <= 1e-5 * answer.cube.abs().max()


def test_gates_can_be_had_without_the_cube(network: DRCRNet) -> None:
    strips, rgb = Strips(network, "cpu", torch.float32), image(36, 44)
    answer = run_to_end(strips.run(rgb))
    for gates, expected in zip(run_to_end(strips.gather(rgb, side=9)), answer.gathered, strict=True):
        torch.testing.assert_close(gates, expected)


def test_progress_counts_tiles_and_strips_and_ends_full(network: DRCRNet) -> None:
    steps = list(Strips(network, "cpu", torch.float32).run(image(64, 64), side=32))
    assert steps == [(number, 4 + 4 * 4) for number in range(1, 21)]


def test_the_callers_gradients_are_untouched_while_it_runs(network: DRCRNet) -> None:
    next(Strips(network, "cpu", torch.float32).run(image(64, 64), side=32))
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_map_too_large_for_memory_is_kept_in_a_file_that_nobody_sees(
    network: DRCRNet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(feature_map.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setattr(feature_map, "IN_MEMORY", 0)
    rgb = image(64, 36)
    assert FeatureMap(16, 64, 36, rgb).on_disk
    answer = run_to_end(Strips(network, "cpu", torch.float32).run(rgb, side=20))
    assert difference(answer.cube, whole_image(network, rgb)) <= 1e-5
    assert list((tmp_path / "napari-drcr").iterdir()) == []


def test_a_disk_without_room_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(feature_map.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    with pytest.raises(InputError, match=r"needs .* GB for intermediate results, and .* GB left"):
        FeatureMap(100, 2**20, 2**20, torch.empty(0), in_memory=0)


def test_values_that_are_not_finite_are_noticed(network: DRCRNet) -> None:
    with torch.no_grad():
        network.blocks[1].conv6.weight.fill_(1e38)
    with pytest.raises(FloatingPointError, match="not finite"):
        run_to_end(Strips(network, "cpu", torch.float32).run(image(16, 16)))
