"""Devices, strategy and precision of a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from napari_drcr.errors import InputError
from napari_drcr.system.devices import PRECISIONS, devices, precisions
from napari_drcr.training.sections import TrainingConfig

LIGHTNING_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def placement(config: TrainingConfig, device: str, precision: str) -> dict[str, Any]:
    """The arguments of Lightning's Trainer for devices and precision.

    Parameters
    ----------
    config : TrainingConfig
        Devices, nodes and strategy.
    device : str
        The device that was chosen, a key of `napari_drcr.system.devices.devices`.
    precision : str
        See `training_precision`.

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
        return {
            "accelerator": kind,
            "devices": [int(index)] if kind == "cuda" else 1,
            "precision": LIGHTNING_PRECISION[precision],
        }
    if kind == "cuda" and config.devices > there:
        raise InputError(f"devices is {config.devices}, but there are {there} GPUs here.")
    if kind == "mps":
        raise InputError("several devices are GPUs of NVIDIA or AMD, or processes on the CPU; choose device: cpu.")
    # DDP waits for the gradient of every weight.
    needed = "ddp_find_unused_parameters_true" if config.network.has_unused_parameters else "ddp"
    if config.strategy == "ddp" != needed:
        raise InputError("strategy 'ddp' fails on this network, which holds weights that are never used; choose 'auto'.")
    return {
        "accelerator": kind,
        "precision": LIGHTNING_PRECISION[precision],
        "devices": config.devices,
        "num_nodes": config.nodes,
        "strategy": needed if config.strategy == "auto" else config.strategy,
    }


def training_precision(wanted: str, device: str, safe: Collection[str] = PRECISIONS) -> str:
    """The precision to train in.

    Parameters
    ----------
    wanted : {"auto", "fp32", "bf16", "fp16"}
        "auto" takes bf16 where the device has it natively and it is safe.
    device : str
        A key of `napari_drcr.system.devices.devices`.
    safe : collection of str
        Precisions shown to be safe for the network.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the device does not support it natively.
    """
    there = precisions(device)
    if wanted == "auto":
        return "bf16" if "bf16" in there and "bf16" in safe else "fp32"
    if wanted not in there:
        raise InputError(f"learning.precision {wanted!r} is not available on {device}; choose {', '.join(there)} or auto.")
    return wanted
