"""One run is one folder: configuration, metrics, checkpoints, log, and the best model so far."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import lightning as pl
import torch

from napari_drcr.camera import find_camera
from napari_drcr.errors import InputError
from napari_drcr.models.execution import ieee_arithmetic
from napari_drcr.models.store import Card, load_model
from napari_drcr.system.devices import choose_device
from napari_drcr.system.pickles import load_plain
from napari_drcr.system.sharing import is_first, quiet_lightning
from napari_drcr.training.callbacks.averaging import MovingAverage
from napari_drcr.training.callbacks.keeper import AtomicCheckpoints, Keeper
from napari_drcr.training.callbacks.recorder import Progress, Recorder
from napari_drcr.training.callbacks.reporter import Reporter
from napari_drcr.training.config import read_config
from napari_drcr.training.data import Photographs, charts, make_loaders
from napari_drcr.training.jobs import prepare
from napari_drcr.training.jobs.folder import CHECKPOINT, CONFIG, LOG, MODEL, REFLECTANCES, START, TEACHERS, refuse_folder_in_use
from napari_drcr.training.jobs.session import hold_device, session, stop_if_asked
from napari_drcr.training.module import TrainingModule
from napari_drcr.training.processes import placement, training_precision
from napari_drcr.training.reflectances import Reflectances, read_reflectances, refuse_others, refuse_radiance
from napari_drcr.training.scenes import Scene, cache_scenes
from napari_drcr.training.sections import TrainingConfig

PARTS = {"state_dict", "loops", "optimizer_states", "callbacks", "global_step"}
"""Of a checkpoint."""


def start_run(config: TrainingConfig, folder: Path, *, progress: Progress | None = None) -> Path:
    """Train in a new run folder.

    For a GPU, processes are started that prepare samples. A script that calls this needs `if __name__ == "__main__":` around it, or
    ``data.workers`` of 0.

    Parameters
    ----------
    config : TrainingConfig
        The run.
    folder : Path
        Must not exist, or be empty.
    progress : callable, optional
        Called with (step, steps, text) as training goes on.

    Returns
    -------
    Path
        The best model, a safetensors file with its card filled in.

    Raises
    ------
    InputError
        If the folder is in use or the data cannot be trained on.
    """
    if is_first():
        refuse_folder_in_use(folder)
    training_precision(config.learning.precision, choose_device(config.device), config.architecture.precisions)
    material = _read_material(config)
    if not is_first():  # The first one may not have made the folder yet.
        return _train(config, folder, material, progress, checkpoint=None)
    prepare(config, folder)
    with session(folder):
        return _train(read_run_config(folder), folder, material, progress, checkpoint=None)


def resume_run(folder: Path, *, progress: Progress | None = None) -> Path:
    """Go on with a run from its last checkpoint, as if it had never stopped.

    Parameters
    ----------
    folder : Path
        Of the run.
    progress : callable, optional
        As for `start_run`.

    Returns
    -------
    Path
        As for `start_run`.

    Raises
    ------
    InputError
        If this is no run folder, another process trains it, its data are gone, its measured reflectances have changed, or its
        checkpoint is none.
    Cancelled
        If it is stopped; see `napari_drcr.training.jobs.stop`.
    """
    with session(folder) if is_first() else nullcontext():
        config = read_run_config(folder)
        checkpoint = folder / CHECKPOINT
        reached = 0
        if checkpoint.is_file():
            # Refuses in a sentence what Lightning would refuse with a traceback.
            content = load_plain(checkpoint)
            if not (isinstance(content, dict) and content.keys() >= PARTS):
                raise InputError(f"{checkpoint} is no checkpoint of a run; start the run anew.")
            reached = content["global_step"]
        material = _read_material(config, check=lambda: stop_if_asked(folder, reached))
        if material.reflectances is not None:
            refuse_others(folder / REFLECTANCES, material.reflectances)
        return _train(config, folder, material, progress, checkpoint if checkpoint.is_file() else None)


def read_run_config(folder: Path) -> TrainingConfig:
    """The configuration of a run.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    TrainingConfig
        It starts from the copy of the weights in the folder, and learns from those of its teachers, wherever they were first.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    start = folder / START
    copies = {
        "learning__start_from": str(start) if start.is_file() else None,
        "learning__teachers": tuple(map(str, sorted(folder.glob(TEACHERS)))),
    }
    return read_config(folder / CONFIG, **copies)


class _Material(NamedTuple):
    """What a run learns from, and the scenes that it is validated on."""

    training: list[Scene]
    validation: list[Scene]
    reflectances: Reflectances | None


def _read_material(config: TrainingConfig, check: Callable[[], object] | None = None) -> _Material:
    reflectances = read_reflectances(config.reflectances)
    training, validation = cache_scenes(config.data, check=check)
    if reflectances is not None:
        refuse_radiance(training)
    return _Material(training, validation, reflectances)


def _train(
    config: TrainingConfig,
    folder: Path,
    material: _Material,
    progress: Progress | None,
    checkpoint: Path | None,
) -> Path:
    training, validation, reflectances = material
    device = choose_device(config.device)
    precision = training_precision(config.learning.precision, device, config.architecture.precisions)
    log = _open_log(folder) if is_first() else logging.getLogger("napari_drcr.run")
    start = "resume" if checkpoint else "start"
    log.info("%s on %s in %s: %d training, %d validation scenes", start, device, precision, len(training), len(validation))
    if reflectances is not None:
        log.info("%s", reflectances)
    recorder = Recorder(config, folder, draft_card(config, training, validation, reflectances), log, progress)
    with quiet_lightning(), ieee_arithmetic(), hold_device(device) if is_first() else nullcontext():
        pl.seed_everything(config.seed, verbose=False)
        trainer = pl.Trainer(
            **placement(config, device, precision),
            default_root_dir=(folder / CHECKPOINT).parent,
            max_steps=config.learning.steps,
            gradient_clip_val=config.learning.clip,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            plugins=[AtomicCheckpoints()],
            # Order matters: the recorder must see the averaged weights before the averaging callback takes them out again.
            callbacks=[
                recorder,
                Reporter(config, folder, device, validation[0].name, recorder),
                MovingAverage(config.learning.ema_decay),
                Keeper(folder, config.learning, recorder),
            ],
        )
        try:
            module = TrainingModule(config)
            if config.architecture.prepared and checkpoint is None and config.learning.start_from is None:
                _prepare(module, material, folder, log)
            trainer.fit(
                module,
                *make_loaders(
                    config,
                    training,
                    validation,
                    lambda: (trainer.global_step, trainer.global_rank),
                    device=device,
                    reflectances=reflectances,
                ),
                ckpt_path=checkpoint,
                weights_only=True,
            )
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # Its plain values are well, but not those of this run: a stranger's, or from another version.
            if checkpoint is None or recorder.began or isinstance(error, InputError) or "memory" in str(error):
                raise
            what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            raise InputError(f"{checkpoint} is no checkpoint of this run ({what}); start the run anew.") from error
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # which Lightning turns into an exit
                raise KeyboardInterrupt from None
            raise
        finally:
            _close_log(log)
    return folder / MODEL


def _prepare(module: TrainingModule, material: _Material, folder: Path, log: logging.Logger) -> None:
    """Let the network take what it needs from whole scenes and charts; all processes get the same."""
    config = module.config
    log.info("%s prepares itself from the training scenes", config.architecture.title)
    share = config.reflectances.share
    count = round(share / (1 - share) * len(material.training))
    composed = charts(material.reflectances, count, config.seed) if material.reflectances is not None else []
    images = Photographs(
        [*material.training, *composed],
        find_camera(config.camera.name),
        config.data.lights,
        config.architecture.multiple,
        check=lambda: stop_if_asked(folder, 0),
    )
    with torch.no_grad():
        config.architecture.prepare(module.network, images)


def draft_card(
    config: TrainingConfig, training: list[Scene], validation: list[Scene], reflectances: Reflectances | None = None
) -> Card:
    """What is known of a model before it has learned.

    Parameters
    ----------
    config : TrainingConfig
        How it will be trained.
    training, validation : list of Scene
        What it will learn from, and what is held back.
    reflectances : Reflectances, optional
        Measured ones, which it learns from too.

    Returns
    -------
    Card
        Without scores.
    """
    learning, data = config.learning, config.data
    camera = find_camera(config.camera.name)
    quantities = {"radiance" if data.lights else scene.quantity for scene in training}
    encoding = data.card_encoding
    source = f"images of the folder ({data.encoding})"
    if data.rgb == "simulated":
        # Images of a linear camera are taken as they are: nothing in their files says that they are not sRGB.
        encoding = "linear" if camera.encoding == "srgb" else "as given"
        source = f"camera {camera.name}" + (f" on scenes lit with {', '.join(data.lights)}" if data.lights else "")
    start = f", from the weights of {load_model(learning.start_from).name}" if learning.start_from else ""
    if learning.teachers:
        names = ", ".join(load_model(teacher).name for teacher in learning.teachers)
        start += f", {learning.teaching:.0%} of the loss against the mean of {names}"
    mixed = "" if reflectances is None else f"{config.reflectances.share:.0%} of the patches are composed of {reflectances}."
    return Card(
        name=config.name,
        quantity=quantities.pop() if len(quantities) == 1 else "unknown",
        encoding=encoding,
        normalisation=data.normalisation,
        camera=camera.name if data.rgb == "simulated" else "",
        architecture=config.network.architecture,
        settings=config.network.model_dump(exclude={"architecture"}),
        data=" ".join(filter(None, (config.card.data, f"{_names(training)}.", mixed))),
        limits=config.card.limits,
        licence=config.card.licence,
        split=f"by scene; held back: {_names(validation)}",
        recipe=(
            f"{learning.steps} steps of {learning.batch} patches of {data.patch} x {data.patch}, "
            f"Adam {config.learning_rate:g}{start}, {source}, seed {config.seed}"
        ),
    )


def _names(scenes: list[Scene]) -> str:
    return f"{len(scenes)} scenes ({', '.join(scene.name for scene in scenes)})"


def _open_log(folder: Path) -> logging.Logger:
    log = logging.getLogger(f"napari_drcr.run.{folder.resolve()}")
    log.setLevel(logging.INFO)
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log


def _close_log(log: logging.Logger) -> None:
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
