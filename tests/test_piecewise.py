"""Networks that look at whole images, piece by piece."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models import feature_map
from napari_drcr.models.execution import WholeImage
from napari_drcr.models.extent import CosineGram, Local, Maximum, Mean, SoftmaxMean, Statistic, WholeMap
from napari_drcr.models.feature_map import FeatureMap
from napari_drcr.models.graph import Graph
from napari_drcr.models.locality import NotLocal
from napari_drcr.models.piecewise import PiecewisePasses
from napari_drcr.system.steps import run_to_end

TOLERANCE = 2e-5


def image(height: int, width: int) -> Tensor:
    return torch.rand((3, height, width), generator=torch.Generator().manual_seed(1))


class Mix(Local):
    def forward(self, values: Tensor, matrix: Tensor) -> Tensor:
        return torch.einsum("bij,bjyx->biyx", matrix[:, 0], values)


class Gates(nn.Module):
    """Means, maxima, weighted means and cosines, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.mean, self.maximum = Mean(), Maximum()
        self.gate = nn.Conv2d(6, 6, 1)
        self.second = nn.Conv2d(6, 6, 5, padding=2, padding_mode="reflect")
        self.scores, self.weighted = nn.Conv2d(6, 1, 1), SoftmaxMean()
        self.cosines, self.mix = CosineGram(1), Mix()
        self.start = nn.Parameter(torch.tensor([0.5]))
        self.last = nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(rgb), 0.1)
        x = x * torch.sigmoid(self.gate(self.mean(x)) + self.gate(self.maximum(x)))
        y = self.second(x) + (self.start + 1) * x
        y = y * torch.sigmoid(self.weighted(self.scores(y), y))
        first, second = torch.chunk(y, 2, dim=1)
        z = torch.cat([first, second, self.mix(y, self.cosines(y, x).softmax(dim=-1))], dim=1)
        return self.last(z)  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """Statistics at several resolutions, with every way between them."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 4, stride=2, padding=1)
        self.deep = nn.Conv2d(12, 8, 3, stride=2, padding=1)
        self.gate, self.mean = nn.Conv2d(8, 8, 1), Mean()
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.over = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.narrow, self.widen = nn.Conv2d(4, 4, 3), nn.ConvTranspose2d(4, 4, 3)
        self.last = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(rgb, 2)
        half = self.down(rgb)
        quarter = self.deep(folded)
        quarter = quarter * torch.sigmoid(self.gate(self.mean(quarter)))
        half = torch.relu(half + self.up(quarter))
        half = half * torch.sigmoid(self.gate(self.mean(half)))
        full = self.widen(F.relu(self.narrow(self.over(half))))
        smooth = F.interpolate(F.avg_pool2d(full, 4), scale_factor=4, mode="bilinear", align_corners=False)
        large = F.interpolate(F.max_pool2d(half, 2), scale_factor=4, mode="nearest")
        return self.last(torch.cat((full, smooth, large), dim=1))  # type: ignore[no-any-return]


class Stairs(nn.Module):
    """Down, a step aside on every level, and up again: pixels at the border of a coarse one see further than those inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.down, self.coarse, self.up = (
            nn.Conv2d(4, 4, 4, stride=4),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ConvTranspose2d(4, 4, 4, stride=4),
        )
        self.last = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.last(self.up(self.coarse(self.down(self.first(rgb)))))  # type: ignore[no-any-return]


def test_the_reach_is_how_far_a_pixel_looks_at_most() -> None:
    graph, farthest = Graph(Stairs().eval()), 0
    for column in range(32, 40):
        rgb = image(64, 64)[None].requires_grad_()
        Stairs()(rgb)[0, :, 32, column].sum().backward()
        assert rgb.grad is not None
        seen = rgb.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        farthest = max(farthest, column - int(seen.min()), int(seen.max()) - column)
    assert farthest == graph.reach == 1 + 3 + 4 + 1


class Attention(WholeMap):
    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        q, k = (each.flatten(2).mT for each in (queries, keys))
        return F.scaled_dot_product_attention(q, k, k).mT.reshape(keys.shape)


class AllPairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.attention, self.mean = Attention(), Mean()

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.first(rgb)
        x = x + self.attention(x, torch.tanh(x))
        return x * self.mean(x)


NETWORKS = {"gates": (Gates, 4), "pyramid": (Pyramid, 3), "stairs": (Stairs, 1), "all pairs": (AllPairs, 3)}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    found: nn.Module = NETWORKS[request.param][0]()
    return found.eval()


def piecewise(network: nn.Module) -> PiecewisePasses:
    return PiecewisePasses(network, "cpu", torch.float32, multiple=4)


@pytest.mark.parametrize("side", [8, 20, 64])
def test_pieces_give_the_whole_images_answer(network: nn.Module, side: int) -> None:
    rgb = image(36, 52)
    whole = run_to_end(WholeImage(network, "cpu", torch.float32).run(rgb, size=(35, 50)))
    pieces = run_to_end(piecewise(network).run(rgb, side=side, size=(35, 50)))
    assert pieces.cube.shape == whole.cube.shape
    assert (pieces.cube - whole.cube).abs().max() < TOLERANCE * whole.cube.abs().max()


def test_windows_need_the_statistics_only(network: nn.Module) -> None:
    rgb = image(64, 48)
    execution = piecewise(network)
    cube = run_to_end(execution.run(rgb, side=24, size=(64, 48))).cube
    gathered = run_to_end(execution.gather(rgb, side=24))
    window = piecewise(network).window(rgb, gathered, (21, 3, 40, 30))
    torch.testing.assert_close(window, cube[:, 21:40, 3:30], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pass_for_every_statistic_that_needs_another(name: str) -> None:
    make, passes = NETWORKS[name]
    execution = piecewise(make().eval())
    assert execution.title == (f"tiles in {passes} passes" if passes > 1 else "tiles")
    steps = list(execution.run(image(16, 16), side=8, size=(16, 16)))
    assert steps[0] == (1, 4 * passes)
    assert steps[-1] == (4 * passes, 4 * passes)


def test_maps_are_kept_only_where_a_later_pass_needs_them() -> None:
    first, second, *_ = Graph(Gates().eval()).passes
    assert [node.name for node in first.kept] == ["leaky_relu"]
    assert [node.name for node in second.needed] == ["leaky_relu"]


def test_half_precision_adds_up_in_double(network: nn.Module) -> None:
    rgb = image(32, 32)
    exact = run_to_end(piecewise(network).run(rgb, side=16, size=(32, 32))).cube
    rough = run_to_end(PiecewisePasses(network, "cpu", torch.bfloat16, multiple=4).run(rgb, side=16, size=(32, 32))).cube
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


class Folds(nn.Module):
    def forward(self, rgb: Tensor) -> Tensor:
        return rgb.flip(-1)


class Asks(nn.Module):
    def forward(self, rgb: Tensor) -> Tensor:
        return rgb / rgb.shape[-1] if rgb.mean() > 0 else rgb


class Shrinks(nn.Module):
    def forward(self, rgb: Tensor) -> Tensor:
        return F.avg_pool2d(rgb, 2)


class Uneven(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 2, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.layer(rgb)  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [Folds, Asks, Shrinks, Uneven])
def test_what_is_not_known_to_be_local_is_not_taken_apart(make: type[nn.Module]) -> None:
    with pytest.raises(NotLocal):
        Graph(make())


def test_values_that_are_not_finite_are_told() -> None:
    network = Gates().eval()
    with torch.no_grad():
        network.first.bias.fill_(torch.inf)
    with pytest.raises(FloatingPointError, match="not finite"):
        run_to_end(piecewise(network).run(image(16, 16), side=8, size=(16, 16)))


class Spread(Statistic):
    def gather(self, *maps: Tensor) -> tuple[Tensor, ...]:
        (values,) = maps
        return values.sum(dim=(2, 3)), values.square().sum(dim=(2, 3))

    def settle(self, gathered: tuple[Tensor, ...], pixels: int) -> Tensor:
        mean = gathered[0] / pixels
        return (gathered[1] / pixels - mean.square())[:, :, None, None]


def test_a_statistic_of_ones_own() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spread, self.layer = Spread(), nn.Conv2d(3, 3, 1)

        def forward(self, rgb: Tensor) -> Tensor:
            return self.layer(rgb) / (self.spread(rgb) + 1)  # type: ignore[no-any-return]

    network, rgb = Network().eval(), image(24, 24)
    pieces = run_to_end(piecewise(network).run(rgb, side=8, size=(24, 24))).cube
    torch.testing.assert_close(pieces, network(rgb[None])[0].detach())


class TwoMaps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.mean = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), Mean()

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.first(rgb)
        y = self.second(x)
        return x + y * self.mean(y)  # type: ignore[no-any-return]


def test_maps_too_large_for_memory_together_go_to_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    network, rgb = TwoMaps().eval(), image(32, 32)
    expected = run_to_end(piecewise(network).run(rgb, side=16, size=(32, 32))).cube
    one_map = 4 * 8 * 32 * 32
    monkeypatch.setattr(feature_map.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setattr(feature_map, "IN_MEMORY", one_map * 3 // 2)
    made: list[FeatureMap] = []
    make = FeatureMap.__init__

    def make_and_record(self: FeatureMap, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(FeatureMap, "__init__", make_and_record)
    found = run_to_end(piecewise(network).run(rgb, side=16, size=(32, 32))).cube
    torch.testing.assert_close(found, expected)
    assert [(each.size, each.on_disk) for each in made] == [(one_map, False), (one_map, True)]


def test_the_benchmark_of_pieces_measures_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    measure = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "pieces.py"))["measure"]
    with torch.random.fork_rng():
        *_, expected = measure("awan:small", (64, 80), True)
        seconds, memory, found = measure("awan:small", (64, 80), False)
    assert seconds > 0 <= memory
    assert abs(found - expected).max() < TOLERANCE * abs(expected).max()
