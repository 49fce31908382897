"""`napari-drcr train`: start or resume a run, or check its data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_drcr.cli._common import print_table, progress_bar
from napari_drcr.errors import Cancelled, InputError, ignore_notice, notices_to
from napari_drcr.system.imports import quick_imports

if TYPE_CHECKING:
    from napari_drcr.training.sections import TrainingConfig
    from napari_drcr.training.survey import SceneEntry


def train(
    config: Annotated[
        str | None,
        typer.Argument(
            help="A YAML file, or a preset: small, fine-tune, paper; the default settings if left out.", metavar="CONFIG"
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of scenes; overrides the configuration.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the run; must be new.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Network and preset, such as edsr:published (see `models --networks`); overrides the configuration.",
            metavar="ID[:PRESET]",
        ),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Resume the run in this folder.", metavar="RUN")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps; overrides the configuration.")] = None,
    device: Annotated[str | None, typer.Option("--device", "-d", help="Device; overrides the configuration.")] = None,
    devices: Annotated[
        int | None, typer.Option(help="Processes per computer, each on a GPU of its own, or on the CPU.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Computers on which torchrun or SLURM started this command.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only list the scenes and their problems.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Wait until no other run uses the device.")] = False,
) -> None:
    """Train a model; a run is a folder with configuration, metrics, checkpoints, log and the best model so far."""
    from napari_drcr.system.sharing import is_first
    from napari_drcr.training.config import read_content
    from napari_drcr.training.jobs.folder import CONFIG

    if resume is not None:
        if check or any(value is not None for value in (config, data, output, network, steps, device, devices, nodes)):
            raise InputError("--resume uses the run's own configuration; leave out everything else.")
        folder, settings = resume, None
        if (folder / CONFIG).is_file():
            read_content(folder / CONFIG)  # Rejects what is no configuration before torch is imported.
    else:
        from napari_drcr.models.architecture import find_preset
        from napari_drcr.training.config import make_config, read_config
        from napari_drcr.training.jobs.folder import new_run_folder

        overrides: dict[str, Any] = {
            "network": None if network is None else find_preset(network).model_dump(),
            "data__folder": data,
            "learning__steps": steps,
            "device": device,
            "devices": devices,
            "nodes": nodes,
        }
        settings = read_config(config, **overrides) if config is not None else make_config({}, **overrides)
        if check:
            _check(settings)
            return
        folder = output if output is not None else new_run_folder(settings.name)
    if not is_first():
        with quick_imports():
            from napari_drcr.training.run import resume_run, start_run

        with notices_to(ignore_notice):  # The first process reports them.
            if settings is None:
                resume_run(folder)
            else:
                start_run(settings, folder)
        return
    try:
        model = _wait_and_resume(settings, folder) if queue else _run(settings, folder)
    except (Cancelled, KeyboardInterrupt) as stopped:
        print(
            f"{f'{stopped}. '.capitalize() if str(stopped) else ''}To continue: napari-drcr train --resume {folder}",
            file=sys.stderr,
        )
        raise
    print(f"Best model: {model}")


def _check(settings: TrainingConfig) -> None:
    """List the scenes; an InputError if they cannot be used for training."""
    from napari_drcr.training.survey import survey

    with progress_bar("check") as show:
        found = survey(settings.data, settings.reflectances, values=True, progress=show)
    header = ["scene", "for", "bands", "nm", "pixels", "holds", "remarks"]
    print_table(header, [_row(scene) for scene in found.scenes], words=("for", "holds", "remarks"))
    taken = [scene for scene in found.scenes if not scene.left_out]
    held_out = sum(scene.held_back for scene in taken)
    print(f"{found.folder} ({found.layout}): {len(taken) - held_out} training, {held_out} validation scenes.")
    if found.reflectances is not None:
        print(f"{settings.reflectances.share:.0%} of the patches are composed of {found.reflectances}.")
    for sentence in found.problems:
        print(f"Error: {sentence}", file=sys.stderr)
    if not found.usable:
        unusable = [scene.name for scene in taken if not scene.usable]
        names = f": {', '.join(unusable)}" if unusable else ""
        raise InputError(f"{found.folder} cannot be used for training as it is{names}.")


def _row(scene: SceneEntry) -> list[str]:
    what = "left out" if scene.left_out else "validation" if scene.held_back else "training"
    remarks = "; ".join(f"{'! ' if problem.stops else ''}{problem.sentence}" for problem in scene.problems)
    if scene.bands is None or scene.nanometres is None or scene.size is None:
        return [scene.name, what, "", "", "", "", remarks]
    nm, size = "{:g}-{:g}".format(*scene.nanometres), "{} x {}".format(*scene.size)
    return [scene.name, what, str(scene.bands), nm, size, scene.quantity, remarks]


def _run(settings: Any, folder: Path) -> Path:
    with quick_imports():
        from napari_drcr.training.run import resume_run, start_run

    with progress_bar("train") as show:
        return resume_run(folder, progress=show) if settings is None else start_run(settings, folder, progress=show)


def _wait_and_resume(settings: Any, folder: Path) -> Path:
    """Wait in the queue before importing heavy packages."""
    from napari_drcr.training.jobs import prepare
    from napari_drcr.training.jobs.session import session

    if settings is not None:
        prepare(settings, folder)
    with session(folder, queue=True):
        return _run(None, folder)
