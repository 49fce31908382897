"""`napari-drcr train`: a run, begun or gone on with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_drcr.cli._common import progress_bar
from napari_drcr.errors import Cancelled, InputError


def train(
    config: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or a preset: small, fine-tune, paper. Without, the defaults.", metavar="CONFIG"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of scenes, in place of the configuration's.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run's folder; must be new.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.", metavar="RUN")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, in place of the configuration's.")] = None,
    device: Annotated[str | None, typer.Option("--device", "-d", help="In place of the configuration's.")] = None,
    queue: Annotated[bool, typer.Option("--queue", help="Wait until no other run uses the device.")] = False,
) -> None:
    """Train a model; a run is a folder with configuration, metrics, checkpoints, log and the best model so far."""
    if resume is not None:
        if any(value is not None for value in (config, data, output, steps, device)):
            raise InputError("--resume takes the run's own configuration; leave out everything else.")
        folder, settings = resume, None
    else:
        from napari_drcr.training.config import make_config, read_config
        from napari_drcr.training.folder import new_run_folder

        overrides: dict[str, Any] = {"data__folder": data, "learning__steps": steps, "device": device}
        settings = read_config(config, **overrides) if config is not None else make_config({}, **overrides)
        folder = output if output is not None else new_run_folder(settings.name)
    try:
        model = _wait_and_resume(settings, folder) if queue else _run(settings, folder)
    except (Cancelled, KeyboardInterrupt) as stopped:
        print(
            f"{f'{stopped}. '.capitalize() if str(stopped) else ''}To go on: napari-drcr train --resume {folder}",
            file=sys.stderr,
        )
        raise
    print(f"Best model: {model}")


def _run(settings: Any, folder: Path) -> Path:
    from napari_drcr.training.run import resume_run, start_run

    with progress_bar("train") as show:
        return resume_run(folder, progress=show) if settings is None else start_run(settings, folder, progress=show)


def _wait_and_resume(settings: Any, folder: Path) -> Path:
    """Import nothing heavy until it is this run's turn."""
    from napari_drcr.training.jobs import prepare
    from napari_drcr.training.session import session

    if settings is not None:
        prepare(settings, folder)
    with session(folder, queue=True):
        return _run(None, folder)
