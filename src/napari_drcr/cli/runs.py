"""`napari-drcr runs`: list, stop and delete training runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_drcr.cli._common import print_table, printable
from napari_drcr.errors import InputError

if TYPE_CHECKING:
    from napari_drcr.training.jobs import RunState


def runs(
    folder: Annotated[Path | None, typer.Option(help="Folder of the runs; by default in the user's data folder.")] = None,
    stop: Annotated[str | None, typer.Option(help="Stop this run; a checkpoint is saved.", metavar="RUN")] = None,
    delete: Annotated[str | None, typer.Option(help="Delete this run and its model.", metavar="RUN")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """List training runs, or stop or delete one."""
    from napari_drcr.training import jobs
    from napari_drcr.training.jobs.folder import runs_folder

    home = runs_folder() if folder is None else folder
    if stop is not None and delete is not None:
        raise InputError("--stop and --delete cannot be combined; choose one of them.")
    if stop is not None:
        jobs.stop(_find(home, stop))
        print(f"{stop} will stop within seconds.")
    elif delete is not None:
        run = jobs.read_run(_find(home, delete))
        if not yes:
            model = " and its model" if run.model else ""
            typer.confirm(f"Delete {run.folder}{model}? This cannot be undone.", abort=True)
        jobs.delete(run.folder)
        print(f"{delete} has been deleted.")
    elif found := jobs.list_runs(home):
        print_table(["run", "state", "step", "left", "best", "device"], [_row(run) for run in found])
        for run in found:
            if run.cause:
                print(printable(f"{run.name}: {run.cause}" + (f" Log: {run.log}" if run.state == "crashed" else "")))
    else:
        print(f"There are no runs in {home}.")


def _find(home: Path, name: str) -> Path:
    """A run by its name in the folder of runs, or by its path."""
    return home / name if (home / name).is_dir() else Path(name)


def _row(run: RunState) -> list[str]:
    from napari_drcr.training.jobs.folder import duration

    status = run.status
    best = "" if status.best is None else f"{status.metric} {status.best:.4f}"
    left = "" if status.seconds_left is None or run.state != "running" else duration(status.seconds_left)
    return [run.name, run.state, f"{status.step:,} of {status.steps:,}", left, best, status.device]
