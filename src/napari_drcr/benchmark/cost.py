"""The rate of this machine for the operations of a network, which gives a lower bound of its time."""

from __future__ import annotations

import time
from collections import Counter
from math import prod

import torch
import torch.nn.functional as F
from torch import nn

# Sides in pixels of what is convolved: on CPUs it stays in the caches, on GPUs it is large enough to occupy them fully.
SIDES = {"cpu": (32, 64, 128)}
SIDES_ELSEWHERE = (256, 512)
CALLS_ELSEWHERE = 20
"""Calls between two readings of the clock; work is queued on a GPU faster than it is done."""
SECONDS = 0.2
"""For each side."""


@torch.inference_mode()
def convolution_rate(network: nn.Module) -> float:
    """Peak rate of the most frequent convolution of a network, run on its own.

    Parameters
    ----------
    network : torch.nn.Module
        On its device, in its precision. Linear layers count as convolutions of one pixel.

    Returns
    -------
    float
        Multiply-adds per second.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    shapes = Counter(tuple(layer.weight.shape) for layer in layers if min(layer.weight.shape[:2]) > 1)
    (shape, _), *_ = shapes.most_common(1)
    layer = next(layer for layer in layers if tuple(layer.weight.shape) == shape)
    weight = layer.weight if layer.weight.ndim == 4 else layer.weight[:, :, None, None]
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    like = weight
    calls = 1 if like.device.type == "cpu" else CALLS_ELSEWHERE
    best = 0.0
    for side in SIDES.get(like.device.type, SIDES_ELSEWHERE):
        piece = torch.rand((1, groups * weight.shape[1], side, side)).to(like).contiguous(memory_format=torch.channels_last)
        work = calls * side**2 * prod(like.shape)
        end = time.perf_counter() + SECONDS
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            while (start := time.perf_counter()) < end:
                for _ in range(calls):
                    F.conv2d(piece, weight, padding="same", groups=groups)
                synchronize(like.device.type)
                best = max(best, work / (time.perf_counter() - start))
    return best


def synchronize(device: str) -> None:
    """Wait until a device has finished its work.

    Parameters
    ----------
    device : str
        torch's name of it.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device if ":" in device else None)
    elif device == "mps":
        torch.mps.synchronize()
