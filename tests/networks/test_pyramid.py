"""HRNet and CSAN, against the authors' networks, files and descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.pyramid.architecture import HRNetSettings
from napari_drcr.models.pyramid.hrnet import HRNet
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


def small_state(*, gated: bool = True, global_first: bool = False) -> dict[str, torch.Tensor]:
    return state_of(shapes_of(HRNet(31, 8, gated=gated, global_first=global_first)))


@pytest.mark.parametrize(("channels", "name"), [(64, "hrnet"), (8, "hrnet_small")])
def test_hrnet_computes_what_the_toolbox_computes(channels: int, name: str) -> None:
    assert difference(HRNet(31, channels, gated=False, padding="zeros", xavier_start=False), name, 8) < 2e-5


def test_hrnet_computes_what_the_authors_compute() -> None:
    assert difference(HRNet(31, 8), "hrnet_reflect_code1_small", 8) < 2e-5
    assert difference(HRNet(31, 8, padding="zeros"), "hrnet_reflect_code1_small", 8) > 1e-3
    assert difference(HRNet(31, 8, gated=False), "hrnet_reflect_code1_small", 8) > 1e-3


def test_published_networks_have_the_published_size() -> None:
    assert count("hrnet", "published") == 31_704_863
    assert billion_multiplications("hrnet", "toolbox") == pytest.approx(624.535, rel=0.01)
    assert count("csan", "published") == pytest.approx(5e6, rel=0.05)


@pytest.mark.parametrize(("id", "preset"), [("hrnet", "small"), ("csan", "small")])
def test_pieces_give_the_whole_images_answer(id: str, preset: str) -> None:
    assert difference_in_pieces(id, preset) < 2e-5


def test_checkpoints_of_the_toolbox_are_read_without_their_unused_gates(tmp_path: Path) -> None:
    state = small_state()
    model = nd.load_model(write_checkpoint(tmp_path / "toolbox.pth", state))
    assert model.settings == HRNetSettings(channels=8, gated=False)
    assert (model.encoding, model.normalisation) == ("as given", "range")
    assert model.parameters == sum(value.numel() for name, value in state.items() if ".fc." not in name)


@pytest.mark.parametrize("global_first", [False, True])
def test_checkpoints_of_the_authors_are_read(global_first: bool, tmp_path: Path) -> None:
    state = small_state(global_first=global_first)
    model = nd.load_model(write_checkpoint(tmp_path / "authors.pth", state, beside=()))
    assert model.settings == HRNetSettings(channels=8, padding="reflect", xavier_start=True, global_first=global_first)
    assert (model.encoding, model.normalisation) == ("as given", "white")
    assert all(torch.equal(value, state[name]) for name, value in model.estimator.state_dict().items())


@pytest.mark.parametrize("beside", [(), ("epoch", "iter", "optimizer")])
def test_incomplete_and_surplus_checkpoints_are_refused(beside: tuple[str, ...], tmp_path: Path) -> None:
    state = small_state()
    for missing, sentence in {
        "bot32.conv4.conv2d.bias": r"lacks 1 of the \d+ parameters of a HRNet: bot32\.conv4\.conv2d\.bias\.",
        "main1.conv2d.weight": r"lacks the first convolution of HRNet at full resolution, main1\.conv2d\.weight\.",
    }.items():
        less = {name: value for name, value in state.items() if name != missing}
        with pytest.raises(InputError, match=rf"less\.pth {sentence}"):
            nd.load_model(write_checkpoint(tmp_path / "less.pth", less, beside))
    more = state | {"extra.weight": parameter("extra.weight", (3,))}
    with pytest.raises(InputError, match=r"more\.pth has parameters that HRNet does not: extra\.weight\."):
        nd.load_model(write_checkpoint(tmp_path / "more.pth", more, beside))


def test_filters_start_small_where_asked() -> None:
    architecture = find_architecture("hrnet")
    for preset, largest in (("published", 0.02), ("small", 0.2)):
        settings = architecture.presets[preset].model_copy(update={"channels": 8})
        weight = architecture.build(settings, 31).main2.conv2d.weight
        assert largest / 10 < weight.abs().max() < largest
