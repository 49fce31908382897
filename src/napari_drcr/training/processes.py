"""A run that several processes share: which one this is, and where it runs."""

from __future__ import annotations

import os
from typing import Any

from napari_drcr.devices import devices
from napari_drcr.errors import InputError
from napari_drcr.training.config import TrainingConfig

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Where torchrun, Lightning and SLURM tell a process which one it is."""


def is_first() -> bool:
    """Whether this process leads the run: writes its folder and speaks for it.

    Returns
    -------
    bool
        True also where there is no other.
    """
    return next((rank for name in RANKS if (rank := os.environ.get(name))), "0") == "0"


def placement(config: TrainingConfig, device: str) -> dict[str, Any]:
    """What Lightning's Trainer is told of devices.

    Parameters
    ----------
    config : TrainingConfig
        Devices, nodes and strategy.
    device : str
        The device that was chosen, a key of `napari_drcr.devices.devices`.

    Returns
    -------
    dict
        Keyword arguments of the Trainer.

    Raises
    ------
    InputError
        If there are not as many devices here.
    """
    kind, _, index = device.partition(":")
    there = sum(name.startswith("cuda") for name in devices())
    if config.processes == 1:
        return {"accelerator": kind, "devices": [int(index)] if kind == "cuda" else 1}
    if kind == "cuda" and config.devices > there:
        raise InputError(f"devices is {config.devices}, but there are {there} GPUs here.")
    if kind == "mps":
        raise InputError("several devices are GPUs of NVIDIA or AMD, or processes on the CPU; choose device: cpu.")
    # DDP waits for the gradient of every weight, also of those that the released layout holds for nothing.
    needed = "ddp_find_unused_parameters_true" if config.network.released_npm else "ddp"
    if config.strategy == "ddp" != needed:
        raise InputError("strategy 'ddp' fails on network.released_npm, which holds weights that are never used; take 'auto'.")
    return {
        "accelerator": kind,
        "devices": config.devices,
        "num_nodes": config.nodes,
        "strategy": needed if config.strategy == "auto" else config.strategy,
    }
