"""Parameters by rule, so that a reference output needs no stored network.

A value follows from the name of its tensor and its place in it alone: an integer hash (splitmix64 of the flat index, seeded by the CRC-32 of
the name) gives a number in [-1, 1), and `distribution` says what it is scaled and shifted by.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

FILES = Path(__file__).parents[1] / "reference" / "networks"


def distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and largest deviation of the values of a tensor."""
    kind = name.rpartition(".")[2]
    fixed = {"num_batches_tracked": (0.0, 0.0), "running_var": (0.75, 0.25), "weight_g": (1.0, 0.1)}
    fixed |= dict.fromkeys(("running_mean", "bias", "beta"), (0.0, 0.05))
    if kind in fixed:
        return fixed[kind]
    per_head = len(shape) == 3 and shape[1:] == (1, 1)
    if per_head or shape in ((), (1,)):
        return (0.25, 0.05) if kind == "weight" else (1.0, 0.2)
    return (0.0, (3 / prod(shape[1:])) ** 0.5) if len(shape) > 1 else (1.0, 0.1)


def values(name: str, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """The values of a tensor, float32; `gain` widens those of tensors of two and more dimensions that are centred on 0."""
    centre, width = distribution(name, shape)
    if len(shape) > 1 and centre == 0:
        width *= gain
    with np.errstate(over="ignore"):
        mixed = np.arange(prod(shape), dtype=np.uint64) + np.uint64(((crc32(name.encode()) << 32) + 0x9E3779B97F4A7C15) % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    uniform = (mixed >> np.uint64(40)) / 2.0**23 - 1.0
    return (centre + width * uniform).astype(np.float32).reshape(shape)


def state_of(shapes: Mapping[str, tuple[int, ...]], gain: float = 1.0) -> dict[str, Tensor]:
    """Parameters by name, from their shapes."""
    return {name: torch.from_numpy(values(name, tuple(shape), gain)) for name, shape in shapes.items()}


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's parameters."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}
