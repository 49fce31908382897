"""Available devices, their names, and the precisions that each supports natively."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from pathlib import Path

from napari_drcr.errors import InputError, shown

PRECISIONS = ("fp32", "bf16", "fp16")


@cache
def devices() -> dict[str, str]:
    """Devices that torch can use here, the best first.

    Returns
    -------
    dict of str to str
        torch's name of the device to the name of the hardware.
    """
    import torch

    found = {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        found["mps"] = f"Apple GPU ({platform.machine()})"
    found["cpu"] = processor_name()
    return found


def processor_name() -> str:
    """Name of the CPU.

    Returns
    -------
    str
        Its name, and in brackets how many of its cores this process may use.
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name} ({usable_cores()} cores)"


def usable_cores() -> int:
    """How many cores this process may use.

    Returns
    -------
    int
        The size of its CPU affinity mask, or the CPU quota of its container if that is smaller; at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (Path("/sys/fs/cgroup") / "cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, int(quota) // int(period))
    return max(cores, 1)


def limit_threads() -> None:
    """Keep torch to the cores that this process may use: in containers it starts as many threads as the computer has cores.

    A smaller number that the user has set is kept.
    """
    import torch

    if torch.get_num_threads() > (cores := usable_cores()):
        torch.set_num_threads(cores)


def choose_device(device: str = "auto") -> str:
    """The device to use.

    Parameters
    ----------
    device : str
        "auto" takes the first of `devices()`; "cuda" the first CUDA device.

    Returns
    -------
    str
        A key of `devices()`.

    Raises
    ------
    InputError
        If there is no such device; lists those available.
    """
    there = devices()
    if device == "auto":
        return next(iter(there))
    named = "cuda:0" if device == "cuda" else device
    if named not in there:
        raise InputError(f"there is no device {shown(device)} here; there is {', '.join(there)} (or auto).")
    return named


def precisions(device: str) -> list[str]:
    """Precisions worth using on a device, that of "auto" first.

    Parameters
    ----------
    device : str
        A key of `devices()`.

    Returns
    -------
    list of str
        "fp32" is always among them. On CPUs "bf16" is offered where the instructions are native.
    """
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):  # The question is about the current device; there may be cards of several generations.
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ["bf16", "fp16", "fp32"] if native else ["fp16", "fp32"]
    if device == "mps":
        return ["fp32", "fp16"]
    # On a CPU without these instructions bf16 is emulated, and slower than fp32. With them it is nearly twice as fast, and moves the
    # scores of the shipped models by less than 0.5 % (docs/benchmarks.md).
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return ["bf16", "fp32"] if native else ["fp32"]


def choose_precision(precision: str, device: str, *, safe: Collection[str] = PRECISIONS) -> str:
    """The precision to use.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16", "fp16"}
        "auto" takes the first of `precisions` that is safe.
    device : str
        A key of `devices()`.
    safe : collection of str
        Precisions shown to be safe for the network; fp32 always is.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the device does not support it natively.
    """
    there = precisions(device)
    if precision == "auto":
        return next(one for one in there if one in safe or one == "fp32")
    if precision not in there:
        raise InputError(f"precision {precision!r} is not available on {device}; choose {', '.join(there)} or auto.")
    return precision
