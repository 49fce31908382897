"""Memory use of this process, current and peak, and errors that mean out of memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

STATUS = Path("/proc/self/status")
CONTROL_GROUP = Path("/sys/fs/cgroup")
LACKING = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory has run out: a `MemoryError`, or what torch raises on its devices and systems.

    Parameters
    ----------
    error : BaseException
        Any.

    Returns
    -------
    bool
    """
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(sign in said for sign in LACKING)
    )


class NotEnoughMemory(MemoryError):
    """Memory would not suffice, as found before any was allocated.

    Parameters
    ----------
    needed, free : int
        Bytes.
    """

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        self.needed, self.free = needed, free


def free_memory(device: str = "cpu") -> int | None:
    """Memory that is free now.

    Parameters
    ----------
    device : str
        torch's name of it.

    Returns
    -------
    int or None
        Bytes; of the CPU what the system has available, or the rest of a container's limit where that is less. None where the device
        does not report it.
    """
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    if device != "cpu":
        return None
    return min([int(psutil.virtual_memory().available), *_left_in_container()])


def _left_in_container() -> Iterator[int]:
    """Free memory within control groups, version 2 or 1; the page cache counts as free."""
    for limit, usage, statistics, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):
            allowed, used = (int((CONTROL_GROUP / name).read_text()) for name in (limit, usage))
            counts = dict(line.split() for line in (CONTROL_GROUP / statistics).read_text().splitlines())
            yield max(allowed - used + int(counts.get(cached, 0)), 0)


def resident() -> int:
    """Memory of this process now.

    Returns
    -------
    int
        Bytes.
    """
    return int(psutil.Process().memory_info().rss)


def peak() -> int:
    """The most that this process has had, since it began or since `reset_peak`.

    Returns
    -------
    int
        Bytes.
    """
    if STATUS.exists():
        # Not `resource.getrusage`: on Linux its maximum starts from that of the parent process.
        lines = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) * 1024 if lines else resident()
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def reset_peak() -> None:
    """Begin anew with what there is now; does nothing where the system does not allow that."""
    with suppress(OSError):
        (STATUS.parent / "clear_refs").write_text("5")
