"""What a network has to compute, and how fast this machine can: the floor under every way to run it."""

from __future__ import annotations

import time
from copy import deepcopy
from math import prod
from typing import Any

import torch
from torch import nn

from napari_drcr.models.drcr.network import DRCRBlock, DRCRNet
from napari_drcr.models.drcr.tiles import PYRAMID

# Sides in pixels of what is convolved: on CPUs it stays in the caches, on GPUs it is large enough to keep all of it busy.
SIDES = {"cpu": (32, 64, 128)}
SIDES_ELSEWHERE = (256, 512)
CALLS_ELSEWHERE = 20
"""Calls between two looks at the clock; a GPU is given work faster than it can do it."""
SECONDS = 0.2
"""For each side."""


def multiply_adds(network: DRCRNet, height: int, width: int) -> int:
    """Multiplications, each with an addition, in the layers of a network for one image.

    Parameters
    ----------
    network : DRCRNet
    height, width : int
        Of the image. Its padding to multiples of 4 counts.

    Returns
    -------
    int
    """
    without_values = deepcopy(network).to("meta")
    total = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output.numel() * prod(weight.shape[1:])

    for layer in without_values.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        without_values(torch.empty((1, 3, *(length + -length % PYRAMID for length in (height, width))), device="meta"))
    return total


@torch.inference_mode()
def convolution_rate(network: DRCRNet) -> float:
    """How fast a 3 x 3 convolution of the network's own runs by itself, at best.

    Parameters
    ----------
    network : DRCRNet
        As `napari_drcr.models.drcr.tiles.place` gives it.

    Returns
    -------
    float
        Multiply-adds per second, in the precision and on the device of the network.
    """
    block = network.blocks[0]
    assert isinstance(block, DRCRBlock)
    convolution = block.conv1
    like = convolution.weight
    calls = 1 if like.device.type == "cpu" else CALLS_ELSEWHERE
    best = 0.0
    for side in SIDES.get(like.device.type, SIDES_ELSEWHERE):
        piece = torch.rand((1, network.channels, side, side)).to(like).contiguous(memory_format=torch.channels_last)
        work = calls * side**2 * prod(like.shape)
        end = time.perf_counter() + SECONDS
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            while (start := time.perf_counter()) < end:
                for _ in range(calls):
                    convolution(piece)
                synchronize(like.device.type)
                best = max(best, work / (time.perf_counter() - start))
    return best


def synchronize(device: str) -> None:
    """Wait until a device has done what it was given.

    Parameters
    ----------
    device : str
        torch's name of it.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device if ":" in device else None)
    elif device == "mps":
        torch.mps.synchronize()
