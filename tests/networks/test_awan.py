"""AWAN equals published code, and reads the checkpoints that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import napari_drcr as nd
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.awan import network as awan
from napari_drcr.models.awan.architecture import AWANSettings
from napari_drcr.models.awan.network import AWANNet, QuadrantAttention
from reference import FILES, shapes_of, state_of

AWAN = find_architecture("awan")
REFERENCE = Path(__file__).parents[1] / "reference"


def on_meta(preset: str) -> AWANNet:
    with torch.device("meta"):
        return AWAN.build(AWAN.presets[preset], 31)


@pytest.mark.parametrize("preset", ["published", "toolbox"])
def test_output_of_published_code(preset: str) -> None:
    stored = np.load(FILES / f"awan_{preset}.npz")
    network = on_meta(preset)
    network.load_state_dict(state_of(shapes_of(network), float(stored["gain"])), assign=True)
    with torch.inference_mode():
        found = network.eval()(torch.from_numpy(stored["input"])).numpy()
    assert np.abs(found - stored["output"]).max() < 2e-5 * np.abs(stored["output"]).max()


@pytest.mark.parametrize(
    ("preset", "parameters", "gmac"),
    [("published", 17_461_521, 4391.49), ("toolbox", 4_039_425, 1086.12)],
)
def test_size_and_cost(preset: str, parameters: int, gmac: float) -> None:
    network = on_meta(preset)
    assert AWAN.count(network) == parameters
    with FlopCounterMode(display=False) as counted:
        network(torch.empty(1, 3, 482, 512, device="meta"))
    assert counted.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.01)
    assert AWAN.count(on_meta("small")) < 1_000_000


def test_attention_by_rows_is_softmax_over_all_pixels_of_a_quadrant(monkeypatch: pytest.MonkeyPatch) -> None:
    theta, g = torch.randn(2, 2, 3, 7, 10, dtype=torch.float64).requires_grad_()
    expected = torch.empty_like(g)
    for rows in (slice(0, 3), slice(3, 7)):
        for columns in (slice(0, 5), slice(5, 10)):
            t, values = (each[:, :, rows, columns].flatten(2) for each in (theta, g))
            scores = (t - t.mean(dim=1, keepdim=True)).mT @ t / 3
            expected[:, :, rows, columns] = (values @ scores.softmax(dim=-1).mT).reshape(2, 3, -1, 5)
    monkeypatch.setattr(awan, "PAIRS", 150)  # One or two rows at a time.
    found = QuadrantAttention()(theta, g)
    torch.testing.assert_close(found, expected)
    parts = list(QuadrantAttention().parts(theta, g))
    assert len(parts) > 4
    weights = torch.randn_like(g)
    for ours, theirs in zip(
        *(torch.autograd.grad((each * weights).sum(), (theta, g)) for each in (found, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_it_starts_without_attention() -> None:
    network = AWAN.build(AWANSettings(channels=16, blocks=1, non_local=True), 7)
    cube = torch.rand(1, 7, 6, 8)
    assert torch.equal(network.tail_nonlocal(cube), cube)


def published(settings: AWANSettings) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = AWAN.build(settings, 31)
    return {f"module.{name}": value for name, value in state_of(shapes_of(network)).items()}


@pytest.mark.parametrize(("channels", "normalisation"), [(96, "range"), (200, "white")])
def test_published_checkpoints(channels: int, normalisation: str, tmp_path: Path) -> None:
    settings = AWANSettings(channels=channels, blocks=1, non_local=True)
    torch.save({"epoch": 1, "iter": 2, "state_dict": published(settings), "optimizer": {}}, tmp_path / "awan.pth")
    model = nd.load_model(tmp_path / "awan.pth")
    assert model.settings == settings
    assert (model.encoding, model.normalisation) == ("as given", normalisation)


def test_a_checkpoint_without_attention(tmp_path: Path) -> None:
    settings = AWANSettings(channels=32, blocks=2)
    torch.save(published(settings), tmp_path / "awan.pth")
    assert nd.load_model(tmp_path / "awan.pth").settings == settings


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"backbone.1.se.fc.2.weight": None}, r"lacks 1 of the \d+ parameters of an? AWAN: backbone.1.se.fc.2.weight"),
        ({"head_conv2D.conv2d.weight": None}, "head_conv2D.conv2d.weight"),
        ({"backbone.1.more": torch.zeros(1)}, "has parameters that AWAN does not: backbone.1.more"),
        ({"backbone.7.se.conv.weight": torch.zeros(1, 32, 1, 1)}, "backbone.2.conv1.conv2d.weight"),
    ],
)
def test_a_checkpoint_with_a_name_too_few_or_too_many(
    changed: dict[str, torch.Tensor | None], sentence: str, tmp_path: Path
) -> None:
    state = published(AWANSettings(channels=32, blocks=2)) | {f"module.{name}": value for name, value in changed.items()}
    torch.save({"state_dict": {name: value for name, value in state.items() if value is not None}}, tmp_path / "awan.pth")
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(tmp_path / "awan.pth")


def test_awan_and_drcr_net_take_only_their_own_files(tmp_path: Path) -> None:
    """Their authors published both under similar names."""
    released = torch.load(REFERENCE / "official_layout_small.pth", weights_only=True)["state_dict"]
    without = {name: value for name, value in released.items() if "denosing" not in name}
    for state in (released, without):
        torch.save(state, tmp_path / "drcr.pth")
        assert nd.load_model(tmp_path / "drcr.pth").architecture.id == "drcr"
    for non_local in (True, False):
        torch.save(published(AWANSettings(channels=16, blocks=1, non_local=non_local)), tmp_path / "awan.pth")
        assert nd.load_model(tmp_path / "awan.pth").architecture.id == "awan"
