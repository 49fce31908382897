"""How much memory this process takes, now and at most, and how torch says that there is no more."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

STATUS = Path("/proc/self/status")
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
        # Not `resource.getrusage`: on Linux its maximum begins with what the parent process had.
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
