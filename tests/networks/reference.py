"""Parameters by rule, stored outputs and published containers, against which networks are checked.

The stored outputs in ``tests/reference/networks`` were computed with the authors' networks, whose parameters were filled by the rule below.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_drcr.inference.passes import pad_to_multiple
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.cost import gmac
from napari_drcr.system.steps import run_to_end

FOLDER = Path(__file__).parents[1] / "reference" / "networks"
Shapes = Mapping[str, tuple[int, ...]]


def noise(name: str, count: int) -> np.ndarray:
    """Numbers in [-1, 1) that depend on a name and their index: the upper 24 bits of splitmix64, seeded with the CRC-32 of the name."""
    bits = np.arange(count, dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 32)
    with np.errstate(over="ignore"):
        bits += np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(40)) / 2.0**23 - 1.0


def parameter(name: str, shape: tuple[int, ...], gain: float = 1.0) -> Tensor:
    """One parameter: an offset and a scale, chosen from its name and shape, times `noise`."""
    last = name.rsplit(".", 1)[-1]
    alone = shape in ((), (1,)) or (len(shape) == 3 and shape[1:] == (1, 1))
    if last == "num_batches_tracked":
        offset, scale = 0.0, 0.0
    elif last == "running_var":
        offset, scale = 0.75, 0.25
    elif last in ("running_mean", "bias", "beta"):
        offset, scale = 0.0, 0.05
    elif last == "weight_g":
        offset, scale = 1.0, 0.1
    elif alone:
        offset, scale = (0.25, 0.05) if last == "weight" else (1.0, 0.2)
    elif len(shape) == 1:
        offset, scale = 1.0, 0.1
    else:
        offset, scale = 0.0, gain * sqrt(3 / prod(shape[1:]))
    return torch.from_numpy((offset + scale * noise(name, prod(shape))).astype(np.float32)).reshape(shape)


def state_of(shapes: Shapes, gain: float = 1.0) -> dict[str, Tensor]:
    """Parameters of a network by rule, from their published names and shapes."""
    return {name: parameter(name, shape, gain) for name, shape in shapes.items()}


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of a network."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def difference(network: nn.Module, name: str, multiple: int = 1, shapes: Shapes | None = None) -> float:
    """How far a network, filled by rule, is from a stored output, relative to its largest value; padded as the package pads.

    Of a large output, only the first bands are stored.
    """
    """How far a network, filled by rule, is from a stored output, relative to its largest value; padded as the package pads."""
    stored = np.load(FOLDER / f"{name}.npz")
    network.load_state_dict(state_of(shapes or shapes_of(network), float(stored["gain"])))
    with torch.inference_mode():
        estimate = network.eval()(torch.from_numpy(pad_to_multiple(stored["input"][0], multiple))[None]).numpy()
    expected = stored["output"]
    _, bands, height, width = expected.shape
    return float(np.abs(estimate[:, :bands, :height, :width] - expected).max() / np.abs(expected).max())


def difference_in_pieces(id: str, preset: str = "small", height: int = 48, width: int = 72, side: int = 16) -> float:
    """How far the estimate in pieces of a side is from that of the whole image, relative to its largest value; filled by rule."""
    architecture = find_architecture(id)
    settings = architecture.presets[preset]
    network = architecture.build(settings, 31).eval()
    network.load_state_dict(state_of(shapes_of(network)))
    execution = architecture.execution(network, settings, "cpu", torch.float32)
    assert execution.piece_side(height, width), f"{architecture.title} goes through whole images only"
    rgb = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(rgb[None])[0]
    pieces = torch.as_tensor(run_to_end(execution.run(rgb, side=side, size=(height, width))).cube)
    return float((pieces - whole).abs().max() / whole.abs().max())


def billion_multiplications(id: str, preset: str, height: int = 482, width: int = 512) -> float:
    """Multiplications (and additions) of a preset for an image, in 1e9."""
    architecture = find_architecture(id)
    return gmac(architecture, architecture.presets[preset], 31, height, width)


def count(id: str, preset: str) -> int:
    """How many parameters a preset has."""
    architecture = find_architecture(id)
    with torch.device("meta"):
        return architecture.count(architecture.build(architecture.presets[preset], 31))


def write_checkpoint(path: Path, state: Mapping[str, Tensor], beside: Iterable[str] = ("epoch", "iter", "optimizer")) -> Path:
    """A checkpoint as authors publish it: the parameters with other things beside, or alone if there is nothing beside."""
    content: Mapping[str, Any] = {"state_dict": dict(state), **{name: {} for name in beside}} if list(beside) else dict(state)
    torch.save(content, path)
    return path
