"""HSCNN-D and its relatives: published code followed through checkpoints in its layout, sizes, and start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import napari_drcr as nd
from napari_drcr.models.dense.architecture import (
    HSCNND,
    DenseArchitecture,
    HSCNNDPlus,
    HSCNNDPlusSettings,
    HSCNNDSettings,
    HSCNNPlus,
    HSCNNPlusSettings,
)
from reference import FOLDER, billion_multiplications, count, parameter, shapes_of, write_checkpoint


def as_published(architecture: DenseArchitecture, settings: HSCNNDSettings | HSCNNPlusSettings) -> dict[str, torch.Tensor]:
    """Parameters by rule under the names of the layout that an architecture reads."""
    with torch.device("meta"):
        shapes = shapes_of(architecture.build(settings, 31))
    published = {}
    for name, shape in shapes.items():
        for theirs, ours in architecture.names.items():
            name = name.replace(ours, theirs)
        published[name] = parameter(name, shape)
    return published


@pytest.mark.parametrize(
    ("architecture", "reference", "normalisation"),
    [(HSCNNPlus(), "hscnn_plus", "range"), (HSCNND(), "hscnn_d_branch38", "white")],
)
def test_checkpoints_give_the_output_of_published_code(
    architecture: DenseArchitecture, reference: str, normalisation: str, tmp_path: Path
) -> None:
    settings = architecture.presets["published"]
    model = nd.load_model(write_checkpoint(tmp_path / "published.pth", as_published(architecture, settings)))
    assert model.settings == settings
    assert (model.encoding, model.normalisation) == ("as given", normalisation)
    stored = np.load(FOLDER / f"{reference}.npz")
    cube = model.estimator(torch.from_numpy(stored["input"])).numpy()
    np.testing.assert_allclose(cube, stored["output"], rtol=0, atol=2e-5 * np.abs(stored["output"]).max())


@pytest.mark.parametrize("architecture", [HSCNNPlus(), HSCNND()])
def test_checkpoints_with_a_name_too_many_or_too_few_are_a_sentence(architecture: DenseArchitecture, tmp_path: Path) -> None:
    settings = architecture.settings(growth=4, blocks=2)
    state, path = as_published(architecture, settings), tmp_path / "published.pth"
    assert nd.load_model(write_checkpoint(path, state)).settings == settings
    with pytest.raises(nd.InputError, match=r"has parameters that HSCNN.* does not: extra.weight"):
        nd.load_model(write_checkpoint(path, state | {"extra.weight": torch.zeros(1)}))
    del state[next(name for name in state if "1" in name and "branches" not in name)]
    with pytest.raises(nd.InputError, match=r"lacks 1 of the \d+ parameters of a HSCNN.*: branches.0.start.wide1.weight"):
        nd.load_model(write_checkpoint(path, state))


def test_sizes_and_cost_are_the_published_ones() -> None:
    assert [count("hscnn_d", preset) for preset in ("published", "released")] == [1_642_015, 9_294_943]
    assert [count(id, "published") for id in ("hscnn_plus", "hscnn_d_plus")] == [4_645_504, 5_485_119]
    assert billion_multiplications("hscnn_plus", "published") == pytest.approx(1146.44, rel=0.01)
    assert billion_multiplications("hscnn_d", "published") == pytest.approx(404.0, rel=0.01)
    assert billion_multiplications("hscnn_d_plus", "published") == pytest.approx(1350.8, rel=0.01)


def test_branches_are_joined_and_followed_by_more_blocks() -> None:
    with torch.device("meta"):
        released = HSCNND().build(HSCNND.presets["released"], 31)
        fused = HSCNNDPlus().build(HSCNNDPlus.presets["published"], 31)
    assert released.output.weight.shape == (31, 3 * 992, 1, 1)
    assert fused.fusion[0].narrow.in_channels == 2 * 544
    assert fused.output.in_channels == 2 * 544 + 30 * 16


def test_settings_of_our_files_follow_from_names() -> None:
    settings = HSCNNDPlusSettings(growth=2, blocks=3, fusion_blocks=4)
    state = HSCNNDPlus().build(settings, 31).state_dict()
    assert HSCNNDPlus().infer(Path("mine"), {}, state) == settings


def test_the_last_convolution_starts_near_zero() -> None:
    torch.manual_seed(0)
    network = HSCNND().build(HSCNNDSettings(), 31)
    assert network.output.weight.detach().std().item() == pytest.approx(0.00088, rel=0.05)  # what cutting leaves of 0.001
    assert network.branches[0].blocks[0].narrow.weight.detach().std().item() == pytest.approx((2 / 48) ** 0.5, rel=0.05)
