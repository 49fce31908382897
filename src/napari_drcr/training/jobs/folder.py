"""The files of a run folder, the folder of runs, and the status of a run. Cheap to import: no torch, no Lightning."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_drcr.errors import InputError
from napari_drcr.system.files import atomic_path

CONFIG = "config.yaml"
START = "start.safetensors"
"""The initial weights, if there are any."""
STATUS = "status.json"
METRICS = "metrics.csv"
LOSSES = "losses.csv"
PREVIEW = "preview.npz"
MODEL = "model.safetensors"
LOG = "log.txt"
OUTPUT = "output.txt"
"""Output of the background process."""
CHECKPOINTS = "checkpoints"
CHECKPOINT = f"{CHECKPOINTS}/last.ckpt"
STOP = "STOP"
"""Created to make the run stop."""
LOCK = "run.lock"
"""Locked by the training process while it runs."""
REFLECTANCES = "reflectances.json"
"""Digests of the measured reflectances that a run learns from."""
TEACHERS = "teacher-*.safetensors"
"""Copies of the models whose mean a run learns from."""
FILES = (CONFIG, START, REFLECTANCES, STATUS, METRICS, LOSSES, PREVIEW, MODEL, LOG, OUTPUT, CHECKPOINT, STOP, LOCK)
UNFINISHED = (".unfinished-*", f"{CHECKPOINTS}/.unfinished-*")
"""What `napari_drcr.system.files.atomic_path` leaves behind when its process is killed."""

LONGEST_STATUS = 2**16  # bytes
State = Literal["queued", "preparing", "running", "stopped", "finished", "crashed"]


class Status(BaseModel):
    """The last report of the training process.

    Attributes
    ----------
    state : str
        Only the lock shows whether it is still valid: see `napari_drcr.training.jobs.read_run`.
    device : str
        Device of the run.
    step, steps : int
        Optimiser steps taken, and in all.
    epoch, epochs : int
        Intervals between validations: the current one, from 1, and their number.
    loss : float or None
        Of the last step.
    best : float or None
        Lowest validation score so far.
    metric : str
        Name of that score, with its floor.
    started, updated : float or None
        Seconds since 1970 of the very first start and of this report.
    seconds_left : float or None
        Expected, as of this report.
    launched : float or None
        Seconds since 1970 at which a background process was started that has not reported yet.
    process : int or None
        Process ID, for information; only the lock shows whether the process is running.
    cause : str
        Why it crashed, or where it stopped, in a sentence.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    state: State = "stopped"
    device: str = ""
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    best: float | None = None
    metric: str = ""
    started: float | None = None
    updated: float | None = None
    seconds_left: float | None = None
    launched: float | None = None
    process: int | None = None
    cause: str = ""


def runs_folder() -> Path:
    """The default folder of runs.

    Returns
    -------
    Path
        In the user's data folder; it may not exist yet.
    """
    return Path(platformdirs.user_data_dir("napari-drcr")) / "runs"


def new_run_folder(name: str) -> Path:
    """A place for a new run.

    Parameters
    ----------
    name : str
        Of the model.

    Returns
    -------
    Path
        In `runs_folder`, named after model and time; it is not created yet.
    """
    folder = runs_folder() / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{folder.name.partition('_')[0]}_{number}")
    return folder


def refuse_folder_in_use(folder: Path) -> None:
    """Make sure that a new run overwrites nothing.

    Parameters
    ----------
    folder : Path
        Of the new run.

    Raises
    ------
    InputError
        If it exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"the run folder {folder} exists already; resume it or choose another name.")


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run.

    Parameters
    ----------
    folder : Path
        Any.

    Returns
    -------
    bool
    """
    try:
        return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in (STATUS, METRICS))
    except OSError:  # access denied
        return False


def read_status(folder: Path) -> Status:
    """Read the last report of a run.

    Parameters
    ----------
    folder : Path
        The run folder; it may be untrusted.

    Returns
    -------
    Status
        The default if there is none, or it is invalid.
    """
    try:
        with (folder / STATUS).open("rb") as file:
            return Status.model_validate_json(file.read(LONGEST_STATUS))
    except (OSError, ValidationError):
        return Status()


def update_status(folder: Path, **changes: Any) -> None:
    """Update the status of a run atomically.

    Parameters
    ----------
    folder : Path
        The run folder.
    **changes
        Fields of `Status`; the others are kept.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    status = read_status(folder).model_copy(update=changes | {"updated": time.time()})
    with atomic_path(folder / STATUS) as temporary:
        temporary.write_text(status.model_dump_json(indent=1), encoding="utf-8")


def duration(seconds: float) -> str:
    """How long something will take, for people.

    Parameters
    ----------
    seconds : float
        0 or more.

    Returns
    -------
    str
        In hours and minutes.
    """
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes else "under 1 min"
