"""Runs in the background: prepare, start, list, stop, delete. A run lives in its own process and outlives its parent.

Cheap to import, and cheap to poll: no torch, no Lightning.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_drcr.errors import InputError, ignore_notice, notices_to, notify
from napari_drcr.training.jobs.folder import (
    CHECKPOINTS,
    CONFIG,
    FILES,
    LOCK,
    LOG,
    MODEL,
    OUTPUT,
    REFLECTANCES,
    START,
    STOP,
    TEACHERS,
    UNFINISHED,
    State,
    Status,
    is_run,
    read_status,
    refuse_folder_in_use,
    runs_folder,
    update_status,
)
from napari_drcr.training.jobs.session import PATIENCE, is_held

if TYPE_CHECKING:
    from napari_drcr.training.sections import TrainingConfig

LAUNCH = 60.0
"""Seconds within which a background process must have taken its lock."""
UNREPORTED = "it ended without reporting why: it was killed, or the machine ran out of memory or power; resume it."
NO_ROOM = 2**20
"""Free bytes below which a disk counts as full."""


@dataclass(frozen=True)
class RunState:
    """A run, as read from its folder.

    Attributes
    ----------
    folder : Path
        The run folder.
    state : {"queued", "preparing", "running", "stopped", "finished", "crashed"}
        Queued runs wait for their device; a prepared run that never started is stopped at step 0.
    status : Status
        Last report of the training process: step, epoch, device, scores, time left.
    cause : str
        Why it crashed, or where it stopped, in a sentence; else empty.
    """

    folder: Path
    state: State
    status: Status
    cause: str

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.name

    @property
    def alive(self) -> bool:
        """Whether a process trains it, or is queued."""
        return self.state in ("queued", "preparing", "running")

    @property
    def log(self) -> Path:
        """The log of the run."""
        return self.folder / LOG

    @property
    def output(self) -> Path:
        """Output of the background process."""
        return self.folder / OUTPUT

    @property
    def model(self) -> Path | None:
        """The best model so far, for `napari_drcr.load_model`; None before the first validation."""
        path = self.folder / MODEL
        return path if path.is_file() else None


def prepare(config: TrainingConfig, folder: Path) -> None:
    """Create a run folder that depends on nothing but its data.

    Parameters
    ----------
    config : TrainingConfig
        The run. Paths are made absolute, the weights that it starts from and its teachers are copied, and digests of measured reflectances kept.
    folder : Path
        Must not exist, or be empty.

    Raises
    ------
    InputError
        If the folder is in use or cannot be written, or measured reflectances cannot be read.
    """
    from napari_drcr.analysis.metrics import metric_name
    from napari_drcr.models.store import load_model, save_model
    from napari_drcr.training.config import make_config, write_config
    from napari_drcr.training.reflectances import read_reflectances, write_digests

    refuse_folder_in_use(folder)
    with notices_to(ignore_notice):  # The run itself tells them.
        reflectances = read_reflectances(config.reflectances)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the run folder {folder} cannot be made: {error.strerror or error}.") from error
    learning = config.learning
    if learning.start_from is not None:
        save_model(folder / START, load_model(learning.start_from), half=False)
    for number, teacher in enumerate(learning.teachers):
        save_model(folder / TEACHERS.replace("*", f"{number:03}"), load_model(teacher), half=False)
    if reflectances is not None:
        write_digests(folder / REFLECTANCES, reflectances)
    update_status(folder, steps=learning.steps, metric=metric_name("mrae", learning.validation_floor), device=config.device)
    # Last, because it makes the folder a run.
    data = config.data.folder and config.data.folder.expanduser().absolute()
    camera = Path(config.camera.name).expanduser()
    named = str(camera.absolute()) if camera.is_file() else config.camera.name
    libraries = tuple(file.expanduser().absolute() for file in config.reflectances.files)
    write_config(
        folder / CONFIG, make_config(config.model_dump(), data__folder=data, camera__name=named, reflectances__files=libraries)
    )


def start(folder: Path) -> None:
    """Train in a process of its own, from the last checkpoint on; it outlives this one, and waits while its device is busy.

    Parameters
    ----------
    folder : Path
        A prepared, stopped or crashed run.

    Raises
    ------
    InputError
        If this is no run folder, or it is running or finished already.
    """
    run = read_run(folder)
    if run.alive:
        raise InputError(f"{folder} is {run.state} already.")
    if run.state == "finished":
        raise InputError(f"{folder} has finished; start a new run from its model with learning.start_from.")
    (folder / STOP).unlink(missing_ok=True)
    command = [sys.executable, "-m", "napari_drcr", "train", "--resume", str(folder.absolute()), "--queue"]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    update_status(folder, state="queued", launched=time.time(), cause="", seconds_left=None)
    with (folder / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=flags,
        )
    # A child that ends before its parent must be waited for, or it remains as a zombie.
    threading.Thread(target=process.wait, daemon=True, name=f"waits for {folder.name}").start()


def stop(folder: Path) -> None:
    """Ask a run to save a checkpoint and end, which takes seconds, or remove it from the queue.

    Parameters
    ----------
    folder : Path
        Of the run.

    Raises
    ------
    InputError
        If it is no run, or not running.
    """
    if not read_run(folder).alive:
        raise InputError(f"{folder} is not running.")
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise InputError(f"{folder} cannot be stopped from here: {error.strerror or error}.") from error


def delete(folder: Path) -> None:
    """Remove a run, and nothing but what a run folder holds.

    Parameters
    ----------
    folder : Path
        Of the run. Links are removed, not followed; a folder that holds other files is kept with them.

    Raises
    ------
    InputError
        If it is no run, or a link to one, or running, or cannot be removed.
    """
    if read_run(folder).alive:
        raise InputError(f"{folder} is running; stop it first.")
    if folder.is_symlink():
        raise InputError(f"{folder} is a link to a run folder; delete that itself.")
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=PATIENCE)
        try:
            _remove_files(folder)
        finally:
            lock.release()
        (folder / LOCK).unlink(missing_ok=True)
    except Timeout:
        raise InputError(f"{folder} is running; stop it first.") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be deleted: {error.strerror or error}.") from error
    try:
        folder.rmdir()
    except OSError:
        notify(f"{folder} stays, because it holds files that are not the run's.")


def _remove_files(folder: Path) -> None:
    checkpoints = folder / CHECKPOINTS
    if checkpoints.is_symlink():
        checkpoints.unlink()
    # The configuration is removed last: what an interrupted deletion leaves is still a run.
    names = [name for name in reversed(FILES) if name != LOCK]
    leftovers = [path for pattern in (*UNFINISHED, TEACHERS) for path in folder.glob(pattern)]
    for path in [*leftovers, *(folder / name for name in names)]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not there, or not empty
        checkpoints.rmdir()


def read_run(folder: Path) -> RunState:
    """Read the state of a run.

    Parameters
    ----------
    folder : Path
        Of the run, which may be untrusted: nothing in it is executed or changed.

    Returns
    -------
    RunState

    Raises
    ------
    InputError
        If it is no run.
    """
    if not is_run(folder):
        raise InputError(f"{folder} is no run folder.")
    status = read_status(folder)
    if status.state in ("stopped", "finished", "crashed"):
        return RunState(folder, status.state, status, status.cause)
    alive = _is_alive(folder, status)
    if not alive:
        # It may have ended between the two checks.
        status = read_status(folder)
        if status.state in ("stopped", "finished", "crashed"):
            return RunState(folder, status.state, status, status.cause)
    if alive or (status.launched is not None and 0 <= time.time() - status.launched < LAUNCH):
        return RunState(folder, status.state, status, "")
    return RunState(folder, "crashed", status, _last_line(folder) if status.launched is not None else _unreported_cause(folder))


def _is_alive(folder: Path, status: Status) -> bool:
    try:
        return is_held(folder / LOCK)
    except OSError:  # Another user's: rely on its last report, for a while.
        return status.updated is not None and time.time() - status.updated < LAUNCH


def _unreported_cause(folder: Path) -> str:
    return "the disk is full: make room and resume." if shutil.disk_usage(folder).free < NO_ROOM else UNREPORTED


def _last_line(folder: Path) -> str:
    """The last line printed by a process that never reported."""
    with suppress(OSError), (folder / OUTPUT).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4096))
        if lines := file.read().decode("utf-8", errors="replace").strip().splitlines():
            return f"it did not start: {lines[-1].strip()}"
    return "it did not start."


def list_runs(folder: Path | None = None) -> list[RunState]:
    """The runs in a folder.

    Parameters
    ----------
    folder : Path, optional
        Of run folders; by default where new runs are kept.

    Returns
    -------
    list of RunState
        The most recently started first.
    """
    folder = runs_folder() if folder is None else folder
    runs = []
    for path in folder.iterdir() if folder.exists() else ():
        with suppress(InputError):  # no run, or deleted just now
            runs.append(read_run(path))
    return sorted(runs, key=lambda run: (-(run.status.started or run.status.updated or 0), run.name))
