"""Fast, Squeeze and Fast-n-Squeeze: which scenes an image is like, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_drcr as nd
from napari_drcr.inference import passes
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.ivl.network import FEATURES, ColourStatistics, Fast, Retrieval, Squeeze, matrix_of
from napari_drcr.models.ivl.squeezenet import SqueezeNet
from napari_drcr.models.piecewise import PiecewisePasses
from napari_drcr.models.store import Card, Model
from napari_drcr.system.steps import run_to_end
from napari_drcr.training.config import make_config
from reference import FOLDER, billion_multiplications, count, shapes_of, state_of

IDS = ("fast", "squeeze", "fast_n_squeeze")


def scene(seed: int, brightness: float = 1.0, *, power: float = 1.0, bands: int = 31) -> tuple[Tensor, Tensor]:
    """An image, and a cube that follows from it by a matrix of its own."""
    random = torch.Generator().manual_seed(seed)
    rgb = torch.rand(3, 20, 30, generator=random) ** power * brightness
    return rgb, torch.einsum("cyx,nc->nyx", rgb, torch.rand(bands, 3, generator=random))


def test_squeezenet_gives_the_stored_output() -> None:
    stored = np.load(FOLDER / "squeezenet_scale.npz")
    network = SqueezeNet().eval()
    network.load_state_dict(state_of(shapes_of(network), float(stored["gain"])))
    with torch.no_grad():
        found = network(torch.from_numpy(stored["input"]))
    np.testing.assert_allclose(found, stored["output"], rtol=2e-5)


@pytest.mark.parametrize(
    ("id", "published", "small", "cost"),
    [
        ("fast", 93 * 900, 93 * 64, 0.023),
        ("squeeze", 723_009 + 93 * 900, 723_009 + 93 * 64, 0.370),
        ("fast_n_squeeze", 723_009 + 93 * 900, 723_009 + 93 * 64, 0.370),
    ],
)
def test_sizes_and_cost(id: str, published: int, small: int, cost: float) -> None:
    assert (count(id, "published"), count(id, "small")) == (published, small)
    assert billion_multiplications(id, "published") == pytest.approx(cost, rel=0.03)


def test_statistics_are_those_of_the_image_in_pieces_too() -> None:
    rgb = scene(3, 0.4)[0] * torch.tensor([1.0, 0.5, 0.1])[:, None, None]
    statistic = ColourStatistics()
    found = statistic(rgb[None])[0]
    relative = (rgb / rgb.max()).flatten(1).numpy()
    expected = np.concatenate(
        [relative.mean(1)[:, None], relative.std(1)[:, None], np.quantile(relative, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1).T],
        axis=1,
    )
    np.testing.assert_allclose(found[:-1].reshape(3, 7), expected, atol=5e-3)
    assert float(found[-1]) == pytest.approx(float(rgb.mean().log()), rel=1e-5)
    whole = statistic.settle(
        statistic.merge(statistic.gather(rgb[None, :, :7]), statistic.gather(rgb[None, :, 7:])), rgb[0].numel()
    )
    np.testing.assert_allclose(whole[0], found, rtol=1e-5)
    assert bool(statistic(torch.zeros(1, 3, 8, 8)).isfinite().all())


def test_the_matrix_of_a_scene_is_the_least_squares_fit() -> None:
    rgb, cube = scene(0)
    np.testing.assert_allclose(torch.einsum("nc,cyx->nyx", matrix_of(rgb, cube), rgb.double()), cube, atol=1e-5)
    assert not matrix_of(torch.zeros_like(rgb), cube).any()


def test_an_image_takes_the_median_of_the_scenes_it_looks_like() -> None:
    network = Fast(5, scenes=9, neighbours=3)
    dark, light = ([scene(seed, power=power, bands=5) for seed in range(first, first + 3)] for first, power in ((0, 4), (3, 1)))
    with torch.no_grad():
        find_architecture("fast").prepare(network, [*dark, *light])
        found = network(light[0][0][None])[0]
        matrices = torch.stack([matrix_of(*each) for each in light]).float()
        expected = torch.einsum("nc,cyx->nyx", matrices.median(dim=0).values, light[0][0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_few_scenes_are_all_taken_and_many_evenly_chosen() -> None:
    retrieval = Retrieval(2, scenes=4, neighbours=3)
    matrices, looks = torch.arange(12.0).reshape(2, 2, 3), torch.arange(2.0 * FEATURES).reshape(2, FEATURES)
    retrieval.fill(matrices, looks)
    assert torch.equal(retrieval(looks)[0], matrices[0])  # of two, the lower
    retrieval.fill(torch.arange(9.0)[:, None, None].expand(9, 2, 3), torch.rand(9, FEATURES))
    assert retrieval.matrices[:, 0, 0].tolist() == [0, 3, 5, 8]


def test_the_median_gives_its_gradient_to_the_matrices_it_took() -> None:
    network = Fast(5, scenes=4, neighbours=3)
    network(torch.rand(1, 3, 16, 16)).sum().backward()
    gradient = network.retrieval.matrices.grad
    assert gradient is not None
    assert ((gradient != 0).sum(dim=0) == 1).all()


def test_squeeze_scales_fast_and_fast_n_squeeze_is_the_mean_of_both() -> None:
    torch.manual_seed(0)
    squeeze, mean = Squeeze(5).eval(), Squeeze(5, share=0.5).eval()
    mean.load_state_dict(squeeze.state_dict())
    rgb = torch.rand(1, 3, 40, 24) * 0.3
    with torch.no_grad():
        fast = squeeze.fast(rgb)
        small = torch.nn.functional.interpolate(rgb / rgb.max(), size=(256, 256), mode="bilinear")
        factor = squeeze.factor.squeezenet(small)
        torch.testing.assert_close(squeeze(rgb), fast * factor)
        torch.testing.assert_close(mean(rgb), (fast + fast * factor) / 2)
    assert float(factor) == pytest.approx(1, abs=0.9)


@pytest.mark.parametrize("id", IDS)
def test_pieces_and_windows_are_those_of_the_whole_image(id: str) -> None:
    torch.manual_seed(0)
    architecture = find_architecture(id)
    settings = architecture.presets["small"]
    network = architecture.build(settings, 31).eval().requires_grad_(False)
    architecture.prepare(network, [scene(seed, 0.2 + 0.1 * seed) for seed in range(8)])
    assert isinstance(architecture.execution(network, settings, "cpu", torch.float32), PiecewisePasses)
    rgb = np.random.default_rng(0).random((50, 70, 3), dtype=np.float32)
    model, kept = Model(Card(name=id, architecture=id, settings=settings.model_dump(exclude={"architecture"})), network), []
    cube = nd.reconstruct(rgb, model, encoding="linear", device="cpu", tile=16, remember=kept.append)
    whole = network(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0]
    np.testing.assert_allclose(cube, whole, atol=1e-5 * float(whole.abs().max()))
    refined: passes.Pass = kept[0]
    window = run_to_end(refined.refine((5, 7, 40, 31)))
    np.testing.assert_allclose(window, cube.values[:, 5:40, 7:31], atol=1e-5 * float(whole.abs().max()))


def test_more_neighbours_than_scenes_are_refused() -> None:
    with pytest.raises(nd.InputError, match="there are no 15 neighbours among 9 scenes"):
        make_config({"network": {"architecture": "squeeze", "scenes": 9}})
