"""The network against vectors computed with the published implementation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_drcr.models.drcr.network import DRCRNet
from napari_drcr.models.drcr.released import rename_released
from napari_drcr.models.store import load_model

REFERENCE = Path(__file__).parent / "reference"
TOLERANCE = 2e-5  # of the largest absolute value


def run(network: torch.nn.Module, rgb: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None])[0].numpy()


def relative_difference(cube: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(cube - reference).max() / np.abs(reference).max())


def weights_by_rule() -> dict[str, torch.Tensor]:
    """Full-size weights that a formula fills, since the file itself would be 38 MB."""
    state = {}
    with (REFERENCE / "official_state_dict.tsv").open(newline="") as table:
        for k, row in enumerate(csv.DictReader(table, delimiter="\t")):
            shape = tuple(int(side) for side in row["shape"].split("x"))
            i = np.arange(np.prod(shape), dtype=np.float64)
            u = np.modf(np.sin(i * 12.9898 + k * 78.233) * 43758.5453)[0]
            if len(shape) >= 2:
                values = u * np.sqrt(3 / np.prod(shape[1:]))
            else:
                values = np.full(shape, 0.25) if "prelu" in row["name"] else u * 0.05
            state[row["name"]] = torch.from_numpy(values.astype(np.float32).reshape(shape))
    return state


@pytest.mark.parametrize("name", ["official_layout_small.pth", "official_layout_small_dataparallel.pth"])
def test_small_checkpoint_gives_the_published_implementations_cube(name: str) -> None:
    reference = np.load(REFERENCE / "official_output_small.npz")
    model = load_model(REFERENCE / name)
    assert (model.channels, model.blocks, model.reduction, model.bands) == (16, 2, 8, 31)
    assert relative_difference(run(model.estimator, reference["rgb"]), reference["cube"]) < TOLERANCE


def test_full_size_network_gives_the_published_implementations_cube() -> None:
    reference = np.load(REFERENCE / "official_output_full.npz")
    network = DRCRNet()
    network.load_state_dict(rename_released(Path("rule"), weights_by_rule()))
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_478_482
    assert relative_difference(run(network, reference["rgb"]), reference["cube"]) < TOLERANCE


def test_without_the_quirk_the_published_checkpoint_gives_another_cube() -> None:
    reference = np.load(REFERENCE / "official_output_small.npz")
    network = DRCRNet(channels=16, blocks=2, released_npm=False)
    network.load_state_dict(load_model(REFERENCE / "official_layout_small.pth").estimator.state_dict())
    assert relative_difference(run(network, reference["rgb"]), reference["cube"]) > 0.01


@pytest.mark.parametrize(("offset", "start"), [(0.0, 0.5), (4.0, 0.982)])
def test_an_offset_opens_the_gates(offset: float, start: float) -> None:
    network = DRCRNet(channels=16, blocks=1, gate_offset=offset)
    for gate in network.blocks[0].gates(torch.zeros(1, 16)):
        torch.testing.assert_close(gate, torch.full((1, 16), start), atol=1e-3, rtol=0)


def test_both_gates_follow_from_the_mean_of_the_input() -> None:
    network = DRCRNet(channels=16, blocks=1)
    block = network.blocks[0]
    x = torch.rand(2, 16, 12, 8)
    gate1, gate2 = block.gates(x.mean(dim=(2, 3)))
    torch.testing.assert_close(gate2, block.gate2((gate1[:, :, None, None] * x).mean(dim=(2, 3))))


@pytest.mark.parametrize("ablation", [{"purification": False}, {"recalibration": False}])
def test_ablations_leave_parts_out(ablation: dict[str, bool]) -> None:
    full, ablated = DRCRNet(channels=16, blocks=2), DRCRNet(channels=16, blocks=2, **ablation)
    assert len(ablated.state_dict()) < len(full.state_dict())
    assert ablated(torch.rand(1, 3, 8, 12)).shape == (1, 31, 8, 12)


def test_a_network_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="channels=4"):
        DRCRNet(channels=4, reduction=8)
