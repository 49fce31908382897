"""`napari-drcr train`: a run, begun or gone on with."""

from __future__ import annotations

import sys
from functools import partial
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
) -> None:
    """Train a model; a run is a folder with configuration, metrics, checkpoints, log and the best model so far."""
    from napari_drcr.training import run

    if resume is not None:
        if any(value is not None for value in (config, data, output, steps, device)):
            raise InputError("--resume takes the run's own configuration; leave out everything else.")
        folder, start = resume, partial(run.resume_run, resume)
    else:
        from napari_drcr.training.config import make_config, read_config

        overrides: dict[str, Any] = {"data__folder": data, "learning__steps": steps, "device": device}
        settings = read_config(config, **overrides) if config is not None else make_config({}, **overrides)
        folder = output if output is not None else run.new_run_folder(settings.name)
        start = partial(run.start_run, settings, folder)
    try:
        with progress_bar("train") as show:
            model = start(progress=show)
    except (Cancelled, KeyboardInterrupt):
        print(f"To go on: napari-drcr train --resume {folder}", file=sys.stderr)
        raise
    print(f"Best model: {model}")
