"""One process, one run: its lock, its place in the queue of the device, its final status. Cheap to import, so that waiting costs nothing."""

from __future__ import annotations

import errno
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from napari_drcr.errors import Cancelled, InputError, notify
from napari_drcr.system.memory import is_lack_of_memory
from napari_drcr.training.jobs.folder import CONFIG, LOCK, LOG, STOP, UNFINISHED, State, read_status, update_status
from napari_drcr.training.yaml_file import read_yaml

PATIENCE = 1.0
"""Seconds for which a process may hold a lock that it only tests."""
HANDOVER = 20.0
"""Seconds within which a process that has reported its end releases its lock, even on a busy machine."""
POLL = 0.5
"""Seconds between two checks of a waiting run."""
FIND_DEVICE = "from napari_drcr.system.devices import choose_device; print(choose_device())"

FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(Cancelled):
    """A run was stopped on request.

    Parameters
    ----------
    step : int
        At which it will resume.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


@contextmanager
def session(folder: Path, *, queue: bool = False) -> Iterator[None]:
    """Hold the lock of a run while this process trains it, and record how it ended.

    Inside another session of the same run in the same thread it does nothing.

    Parameters
    ----------
    folder : Path
        The run folder.
    queue : bool
        Wait until no other run uses the device, after those already waiting. No heavy package is imported meanwhile.

    Raises
    ------
    InputError
        If this is no run folder, or another process trains it.
    Cancelled
        If it is stopped while it waits.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is no run folder: it has no {CONFIG}.")
    lock = FileLock(folder.resolve() / LOCK, is_singleton=True)
    if lock.is_locked:
        yield
        return
    try:
        # A caller may restart a run as soon as it has reported its end, which is before its lock is released.
        lock.acquire(timeout=HANDOVER if queue else PATIENCE)
    except Timeout:
        raise InputError(f"{folder} is being trained by another process; stop that one first.") from None
    try:
        if read_status(folder).launched is None:
            (folder / STOP).unlink(missing_ok=True)  # left from an earlier process
        for pattern in UNFINISHED:
            for leftover in folder.glob(pattern):
                leftover.unlink()
        with _recorded_end(folder), ExitStack() as stack:
            if queue:
                device = wanted_device(folder)
                update_status(
                    folder, state="queued", device=device, process=os.getpid(), launched=None, cause="", seconds_left=None
                )
                stack.enter_context(hold_device(device, wait_for=folder))
            started = read_status(folder).started or time.time()
            began = {"started": started, "process": os.getpid(), "launched": None, "cause": "", "seconds_left": None}
            update_status(folder, state="preparing", **began)
            yield
    finally:
        (folder / STOP).unlink(missing_ok=True)
        lock.release()


@contextmanager
def _recorded_end(folder: Path) -> Iterator[None]:
    try:
        yield
    except Stopped as stopped:
        # A run stopped during a validation repeats the step before it, so the last reported step is not that of the checkpoint.
        update_status(folder, step=stopped.step)
        _report_end(folder, "stopped", str(stopped))
        raise
    except (Cancelled, KeyboardInterrupt) as stopped:
        _report_end(folder, "stopped", str(stopped) or "interrupted")
        raise
    except BaseException as error:
        with suppress(InputError, OSError):  # The disk may be full.
            known = isinstance(error, InputError | MemoryError)
            _report_end(folder, "crashed", explain(error), "" if known else traceback.format_exc())
        raise
    _report_end(folder, "finished", "")


def _report_end(folder: Path, state: State, cause: str, details: str = "") -> None:
    update_status(folder, state=state, cause=cause, seconds_left=None)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {cause or state}\n{details}")


def explain(error: BaseException) -> str:
    """Why a run ended, in a sentence.

    Parameters
    ----------
    error : BaseException
        What ended it.

    Returns
    -------
    str
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for link in chain:
        if isinstance(link, OSError) and link.errno in FULL:
            where = f" ({link.filename})" if link.filename else ""
            return f"the disk is full{where}: make room and resume."
        if is_lack_of_memory(link):
            return "out of memory: lower learning.batch or data.patch, or train a smaller network or on another device."
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} is gone: put it back and resume."
    if isinstance(error, InputError):
        return lines[-1].removeprefix("napari_drcr.errors.InputError: ")
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def is_held(path: Path) -> bool:
    """Whether a running process holds a lock.

    Parameters
    ----------
    path : Path
        The lock file; it is not created.

    Returns
    -------
    bool
        Two processes that test at the same moment see each other's test as a lock.

    Raises
    ------
    OSError
        If access is denied.
    """
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def stop_if_asked(folder: Path, step: int) -> None:
    """End the run if it has been asked to stop.

    Parameters
    ----------
    folder : Path
        The run folder.
    step : int
        At which it will resume.

    Raises
    ------
    Cancelled
        If there is a stop file.
    """
    if (folder / STOP).exists():
        raise Stopped(step)


def wanted_device(folder: Path) -> str:
    """The device that a run is configured for.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    str
        As torch calls it.

    Raises
    ------
    InputError
        If the configuration cannot be read, or torch cannot be imported.
    """
    content = read_yaml(folder / CONFIG)
    device = str(content.get("device", "auto")) if isinstance(content, dict) else "auto"
    if device != "auto":
        return device
    # This needs torch, which would stay in memory while this process waits.
    found = subprocess.run([sys.executable, "-c", FIND_DEVICE], capture_output=True, text=True, check=False)
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no error message"])[-1]
        raise InputError(f"torch cannot list its devices: {reason}.")
    return found.stdout.strip()


@contextmanager
def hold_device(device: str, *, wait_for: Path | None = None) -> Iterator[None]:
    """Lock a device against waiting runs.

    Parameters
    ----------
    device : str
        As torch calls it.
    wait_for : Path, optional
        A run folder: wait, in order of arrival, until the device is free or that run is to stop. By default a busy device is
        shared, with a notice.

    Raises
    ------
    Cancelled
        If the run is stopped while it waits.
    """
    place = Path(platformdirs.user_data_dir("napari-drcr")) / "devices" / _device_key(device)
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / "device.lock", is_singleton=True)
    if wait_for is not None:
        _wait_in_line(lock, place, wait_for)
    else:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            notify(f"another run is training on {device}, so both are slower; --queue waits for it.")
            yield
            return
    try:
        yield
    finally:
        lock.release()


def _wait_in_line(lock: FileLock, place: Path, folder: Path) -> None:
    path = place / f"{time.time_ns():020d}-{os.getpid()}.ticket"
    with FileLock(path):
        try:
            while True:
                if (folder / STOP).exists():
                    raise Cancelled("stopped while it waited for its device")
                if not _is_another_before(path):
                    with suppress(Timeout):
                        lock.acquire(timeout=0)
                        return
                time.sleep(POLL)
        finally:
            with suppress(OSError):  # Windows removes no file that is open.
                path.unlink()


def _is_another_before(ticket: Path) -> bool:
    for other in sorted(ticket.parent.glob("*.ticket")):
        if other.name >= ticket.name:
            break
        if is_held(other):
            return True
        with suppress(OSError):  # left behind by a killed process
            other.unlink()
    return False


def _device_key(device: str) -> str:
    """A file name for the device, independent of its index in this process; home folders may be shared between computers."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        number = int(index) if index.isdecimal() else 0
        device = f"cuda-{visible[number] if number < len(visible) else number}"
    return re.sub(r"[^\w.-]", "_", f"{platform.node()}-{device}")
