"""FMNet equals published code, and reads its checkpoints; the improved one is as large as its assumptions make it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_drcr as nd
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.function_mixture.architecture import FMNetSettings
from napari_drcr.models.function_mixture.network import Weights
from napari_drcr.models.graph import Graph
from napari_drcr.models.layers import Interpolation
from reference import FOLDER, billion_multiplications, count, state_of

FMNET = find_architecture("fmnet")


def published(blocks: int, channels: int = 64, layers: int = 3) -> dict[str, Tensor]:
    """Parameters under the authors' names."""
    mixtures = {f"{{}}s.{block}": (channels, channels) for block in range(blocks)}
    mixtures |= {"c{}": (blocks * channels, channels), "o{}": (channels, 31)}
    shapes: dict[str, tuple[int, ...]] = {"input.weight": (channels, 31, 3, 3)}
    for block in range(blocks):
        shapes[f"convs.{block}.0.conv.weight"] = (channels, channels, 3, 3)
    for mixture, (before, after) in mixtures.items():
        functions, weights = mixture.format("dic"), mixture.format("rep")
        for number, side in enumerate((3, 7, 11)):
            for layer, sizes in (("input", (channels, before)), ("output", (after, channels))):
                shapes[f"{functions}.base.{number}.{layer}.weight"] = (*sizes, side, side)
                shapes[f"{functions}.base.{number}.{layer}.bias"] = sizes[:1]
        shapes[f"{weights}.input.weight"] = (channels, before, 3, 3)
        shapes |= {f"{weights}.conv2.{number}.conv.weight": (channels, channels, 3, 3) for number in range(layers)}
        shapes[f"{weights}.output.weight"] = (3, channels, 3, 3)
    return state_of(shapes)


def write(path: Path, state: Mapping[str, Tensor]) -> Path:
    torch.save({"epoch": 100, "model_state_dict": dict(state), "optimizer_state_dict": {}}, path)
    return path


@pytest.mark.parametrize(("blocks", "name", "parameters"), [(2, "fmnet", 6_947_229), (4, "fmnet4", 11_792_925)])
def test_output_of_published_code(blocks: int, name: str, parameters: int, tmp_path: Path) -> None:
    stored = np.load(FOLDER / f"{name}.npz")
    model = nd.load_model(write(tmp_path / f"{name}.pth", published(blocks)))
    assert model.parameters == parameters
    with torch.inference_mode():
        estimate = model.estimator(torch.from_numpy(stored["input"])).numpy()
    assert np.abs(estimate - stored["output"]).max() < 2e-5 * np.abs(stored["output"]).max()


def test_size_and_cost() -> None:
    assert [count("fmnet", preset) for preset in ("published", "small")] == [11_792_925, 505_773]
    assert [count("fmnet_improved", preset) for preset in ("published", "small")] == [4_117_209, 177_673]
    assert billion_multiplications("fmnet", "published") == pytest.approx(2909.76, rel=0.01)
    assert billion_multiplications("fmnet_improved", "published") == pytest.approx(1011.83, rel=0.01)


def test_red_is_the_first_band_and_blue_the_last() -> None:
    lifted = Interpolation(7)(torch.tensor([0.9, 0.3, 0.6]).reshape(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(lifted, torch.tensor([0.9, 0.7, 0.5, 0.3, 0.4, 0.5, 0.6]))


@pytest.mark.parametrize("sizes", [{"blocks": 1, "channels": 8}, {"blocks": 2, "channels": 6, "layers": 1}])
def test_published_checkpoints(sizes: dict[str, Any], tmp_path: Path) -> None:
    wrapped = nd.load_model(write(tmp_path / "wrapped.pth", published(**sizes)))
    torch.save(published(**sizes), tmp_path / "bare.pth")
    bare = nd.load_model(tmp_path / "bare.pth")
    mixing_layers = sizes.get("layers", 3)
    assert wrapped.settings == FMNetSettings(blocks=sizes["blocks"], channels=sizes["channels"], mixing_layers=mixing_layers)
    assert bare.settings == wrapped.settings
    assert (wrapped.encoding, wrapped.normalisation) == ("as given", "white")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"reps.0.conv2.1.conv.weight": None}, r"lacks 1 of the \d+ parameters of .*: blocks.0.2.weights.inner.1.weight"),
        ({"input.weight": None}, r"lacks 1 of the \d+ parameters of .*: first.weight"),
        ({"cdic.base.3.input.weight": torch.zeros(1)}, "has parameters that FMNet does not: collect.functions.3.0.weight"),
    ],
)
def test_a_checkpoint_with_a_name_too_few_or_too_many(changed: dict[str, Tensor | None], sentence: str, tmp_path: Path) -> None:
    state = published(1, 8) | changed
    path = write(tmp_path / "fmnet.pth", {name: value for name, value in state.items() if value is not None})
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(path)


@pytest.mark.parametrize(("id", "blocks", "reach"), [("fmnet", 2, 43), ("fmnet", 4, 65), ("fmnet_improved", 4, 41)])
def test_how_far_it_looks(id: str, blocks: int, reach: int) -> None:
    architecture = find_architecture(id)
    with torch.device("meta"):
        network = architecture.build(architecture.settings(channels=4, blocks=blocks), 31)
    assert Graph(network).reach == reach


def test_weights_of_a_pixel_sum_to_one() -> None:
    weights = Weights(4, 8, 3, 1)(torch.randn(2, 4, 5, 6))
    assert weights.shape == (2, 3, 5, 6)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 5, 6))
