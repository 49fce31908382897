"""One process, one run: its lock, its turn on the device, its last words. Cheap to import, so that waiting costs nothing."""

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
"""Seconds that a lock may be held by somebody who only looks whether it is free."""
HANDOVER = 20.0
"""Seconds in which a process that has reported its end releases its lock, however busy the machine."""
POLL = 0.5
"""Seconds between two looks of a waiting run."""
FIND_DEVICE = "from napari_drcr.system.devices import choose_device; print(choose_device())"

FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(Cancelled):
    """A run was asked to stop, and did.

    Parameters
    ----------
    step : int
        From which it will go on.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


@contextmanager
def session(folder: Path, *, queue: bool = False) -> Iterator[None]:
    """Be the process that trains a run: nobody else can, others see that it lives, and how it ended.

    Inside another session of the same run in the same thread it does nothing.

    Parameters
    ----------
    folder : Path
        The run folder.
    queue : bool
        Wait until no other run uses the device, behind those that wait already. Nothing heavy is imported meanwhile.

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
        # Whoever starts it in the background has seen that it ended, which is told before the lock is free.
        lock.acquire(timeout=HANDOVER if queue else PATIENCE)
    except Timeout:
        raise InputError(f"{folder} is being trained by another process; stop that one first.") from None
    try:
        if read_status(folder).launched is None:
            (folder / STOP).unlink(missing_ok=True)  # nobody can have meant this process
        for pattern in UNFINISHED:
            for leftover in folder.glob(pattern):
                leftover.unlink()
        with _last_words(folder), ExitStack() as stack:
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
def _last_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except Stopped as stopped:
        # A stop while validating repeats the step before it, so the last one told is not the one kept.
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
    """Whether a living process holds a lock.

    Parameters
    ----------
    path : Path
        The lock's file; it is not made.

    Returns
    -------
    bool
        Two that look at the very same moment see each other.

    Raises
    ------
    OSError
        If we may not look.
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
    """End the run if somebody wants it to stop.

    Parameters
    ----------
    folder : Path
        The run folder.
    step : int
        That it will be resumed from.

    Raises
    ------
    Cancelled
        If there is a stop file.
    """
    if (folder / STOP).exists():
        raise Stopped(step)


def wanted_device(folder: Path) -> str:
    """The device that a run wants.

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
        If the configuration cannot be read, or torch cannot be asked.
    """
    content = read_yaml(folder / CONFIG)
    device = str(content.get("device", "auto")) if isinstance(content, dict) else "auto"
    if device != "auto":
        return device
    # Only torch knows, and it would stay in memory here for as long as this process waits.
    asked = subprocess.run([sys.executable, "-c", FIND_DEVICE], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise InputError(f"torch cannot be asked for its devices: {(asked.stderr.strip().splitlines() or ['no word'])[-1]}.")
    return asked.stdout.strip()


@contextmanager
def hold_device(device: str, *, wait_for: Path | None = None) -> Iterator[None]:
    """Keep waiting runs off a device.

    Parameters
    ----------
    device : str
        As torch calls it.
    wait_for : Path, optional
        A run folder: wait, in order of arrival, until the device is free or that run is to stop. Without, a busy device is
        shared, and that is told.

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
                if not _somebody_before(path):
                    with suppress(Timeout):
                        lock.acquire(timeout=0)
                        return
                time.sleep(POLL)
        finally:
            with suppress(OSError):  # Windows removes no file that is open.
                path.unlink()


def _somebody_before(ticket: Path) -> bool:
    for other in sorted(ticket.parent.glob("*.ticket")):
        if other.name >= ticket.name:
            break
        if is_held(other):
            return True
        with suppress(OSError):  # left by a process that was killed
            other.unlink()
    return False


def _device_key(device: str) -> str:
    """A file name for the device, whatever this process calls it; home folders may be shared between computers."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        number = int(index) if index.isdecimal() else 0
        device = f"cuda-{visible[number] if number < len(visible) else number}"
    return re.sub(r"[^\w.-]", "_", f"{platform.node()}-{device}")
