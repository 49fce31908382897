"""AWAN equals published code, and reads the checkpoints that people have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import napari_drcr as nd
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.awan import network as awan
from napari_drcr.models.awan.architecture import AWANSettings
from napari_drcr.models.awan.network import QuadrantAttention
from reference import billion_multiplications, count, difference, shapes_of, state_of, write_checkpoint

AWAN = find_architecture("awan")
REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.mark.parametrize(("preset", "name"), [("published", "awan_paper"), ("toolbox", "awan")])
def test_output_of_published_code(preset: str, name: str) -> None:
    assert difference(AWAN.build(AWAN.presets[preset], 31), name) < 2e-5


def test_size_and_cost() -> None:
    assert [count("awan", preset) for preset in ("published", "toolbox", "small")] == [17_461_521, 4_039_425, 536_758]
    assert billion_multiplications("awan", "published", 256, 256) == pytest.approx(1148.39, rel=0.01)
    assert billion_multiplications("awan", "toolbox") == pytest.approx(1086.12, rel=0.01)


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


def published(**settings: Any) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = AWAN.build(AWANSettings(**settings), 31)
    return {f"module.{name}": value for name, value in state_of(shapes_of(network)).items()}


@pytest.mark.parametrize(("channels", "normalisation"), [(96, "range"), (200, "white")])
def test_published_checkpoints(channels: int, normalisation: str, tmp_path: Path) -> None:
    sizes = {"channels": channels, "blocks": 1, "non_local": True}
    model = nd.load_model(write_checkpoint(tmp_path / "awan.pth", published(**sizes)))
    assert model.settings == AWANSettings(**sizes)
    assert (model.encoding, model.normalisation) == ("as given", normalisation)


def test_a_bare_checkpoint_without_attention(tmp_path: Path) -> None:
    model = nd.load_model(write_checkpoint(tmp_path / "awan.pth", published(channels=32, blocks=2), beside=()))
    assert model.settings == AWANSettings(channels=32, blocks=2)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"backbone.1.se.fc.2.weight": None}, r"lacks 1 of the \d+ parameters of .*: backbone.1.se.fc.2.weight"),
        ({"head_conv2D.conv2d.weight": None}, r"lacks 1 of the \d+ parameters of .*: head_conv2D.conv2d.weight"),
        ({"backbone.1.more": torch.zeros(1)}, "has parameters that AWAN does not: backbone.1.more"),
        ({"backbone.7.se.conv.weight": torch.zeros(1, 32, 1, 1)}, "lacks .* parameters of .*: backbone.2.conv1.conv2d.weight"),
    ],
)
def test_a_checkpoint_with_a_name_too_few_or_too_many(
    changed: dict[str, torch.Tensor | None], sentence: str, tmp_path: Path
) -> None:
    state = published(channels=32, blocks=2) | {f"module.{name}": value for name, value in changed.items()}
    path = write_checkpoint(tmp_path / "awan.pth", {name: value for name, value in state.items() if value is not None})
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(path)


def test_awan_and_drcr_net_take_only_their_own_files(tmp_path: Path) -> None:
    """Their authors published both under similar names."""
    released = torch.load(REFERENCE / "official_layout_small.pth", weights_only=True)["state_dict"]
    without = {name: value for name, value in released.items() if "denosing" not in name}
    plain, non_local = (published(channels=16, blocks=1, non_local=each) for each in (False, True))
    for number, (id, state) in enumerate([("drcr", released), ("drcr", without), ("awan", plain), ("awan", non_local)]):
        assert nd.load_model(write_checkpoint(tmp_path / f"{number}.pth", state)).architecture.id == id
