"""One run is one folder: configuration, metrics, checkpoints, log, and the best model so far."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from napari_drcr.camera import find_camera
from napari_drcr.devices import choose_device, precisions
from napari_drcr.errors import InputError
from napari_drcr.files import atomic_path
from napari_drcr.training.config import TrainingConfig, read_config, write_config
from napari_drcr.training.data import EpochSampler, Patches, Photographs, Scene, cache_scenes
from napari_drcr.training.module import TrainingModule
from napari_drcr.weights import Card, Model, save_model

CONFIG = "config.yaml"
METRICS = "metrics.csv"
LOG = "log.txt"
LAST = "checkpoints/last.ckpt"
MODEL = "model.safetensors"
LIGHTNING_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}

Progress = Callable[[int, int, str], None]


def start_run(config: TrainingConfig, folder: Path, *, progress: Progress | None = None) -> Path:
    """Train in a new run folder.

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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"the run folder {folder} exists already; resume it or choose another name.")
    scenes = cache_scenes(config.data)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder / CONFIG, config)
    return _train(config, folder, scenes, progress, checkpoint=None)


def resume_run(folder: Path, *, progress: Progress | None = None) -> Path:
    """Go on with a run from its last checkpoint; parameters and result as for `start_run`."""
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is no run folder: it has no {CONFIG}.")
    config = read_config(folder / CONFIG)
    checkpoint = folder / LAST
    return _train(config, folder, cache_scenes(config.data), progress, checkpoint if checkpoint.is_file() else None)


def _train(
    config: TrainingConfig,
    folder: Path,
    scenes: tuple[list[Scene], list[Scene]],
    progress: Progress | None,
    checkpoint: Path | None,
) -> Path:
    training, validation = scenes
    learning = config.learning
    device = choose_device(config.device)
    pl.seed_everything(config.seed, verbose=False)
    module = TrainingModule(config)
    steps_per_epoch = min(learning.validate_every, learning.steps)
    log = _open_log(folder)
    log.info(
        "%s %s: %d training and %d validation scenes",
        "resume" if checkpoint else "start",
        folder.name,
        len(training),
        len(validation),
    )
    trainer = pl.Trainer(
        accelerator=device.partition(":")[0],
        devices=[int(device.partition(":")[2] or 0)] if device.startswith("cuda") else 1,
        precision=LIGHTNING_PRECISION[_training_precision(learning.precision, device)],  # type: ignore[arg-type]
        max_steps=learning.steps,
        gradient_clip_val=learning.clip,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # Order matters: the recorder must see the averaged weights before the averaging callback takes them out again.
        callbacks=[
            Recorder(config, folder, _describe(training, validation), log, progress),
            EMAWeightAveraging(decay=learning.ema_decay),
            ModelCheckpoint(dirpath=folder / Path(LAST).parent, save_last=True, save_top_k=0, save_on_train_epoch_end=True),
        ],
    )
    sampler = EpochSampler(steps_per_epoch * learning.batch)
    workers = config.data.workers
    trainer.fit(
        module,
        DataLoader(
            Patches(training, config),
            batch_size=learning.batch,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="spawn" if workers else None,
        ),
        DataLoader(Photographs(validation, find_camera(config.camera.name)), batch_size=1),
        ckpt_path=checkpoint,
        weights_only=True,
    )
    return folder / MODEL


def _training_precision(wanted: str, device: str) -> str:
    there = precisions(device)
    if wanted == "auto":
        return "bf16" if "bf16" in there else "fp32"
    if wanted not in there:
        raise InputError(f"learning.precision {wanted!r} is not to be had on {device}; there is {', '.join(there)}.")
    return wanted


def _open_log(folder: Path) -> logging.Logger:
    log = logging.getLogger(f"napari_drcr.run.{folder.name}")
    log.setLevel(logging.INFO)
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log


def _describe(training: list[Scene], validation: list[Scene]) -> tuple[str, str]:
    names = ", ".join(scene.name for scene in validation)
    return f"{len(training)} scenes: {', '.join(scene.name for scene in training)}", f"by scene; held back: {names}"


class Recorder(Callback):
    """Writes metrics and log, keeps the best model, reports progress.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    folder : Path
        The run folder.
    described : tuple of two str
        Data and split, for the card.
    log : logging.Logger
        Of the run.
    progress : callable or None
        See `start_run`.
    """

    def __init__(
        self, config: TrainingConfig, folder: Path, described: tuple[str, str], log: logging.Logger, progress: Progress | None
    ) -> None:
        self.config, self.folder, self.described, self.run_log, self.progress = config, folder, described, log, progress
        self.best = float("inf")
        self.mrae: float | None = None
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up `state_dict`."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows that a resumed run will write again."""
        self.started = time.monotonic()
        kept = [row for row in read_metrics(self.folder) if row["step"] <= trainer.global_step]
        _write_metrics(self.folder, kept)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(
                trainer.global_step, self.config.learning.steps, f"loss {float(outputs['loss']):.4f}, best {self.best:.4f}"
            )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the averaged weights if they are the best so far, and record the figures."""
        assert isinstance(pl_module, TrainingModule)
        mrae = sum(pl_module.scores) / len(pl_module.scores)
        if mrae < self.best:
            self.best = mrae
            save_model(self.folder / MODEL, Model(self._card(trainer.global_step), pl_module.network))
        self.mrae = mrae

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row to the metrics."""
        if self.mrae is None:  # Lightning resumes at the end of the epoch that the checkpoint closed.
            return
        row = {
            "step": trainer.global_step,
            "loss": float(trainer.callback_metrics["loss"]),
            "mrae": self.mrae,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.monotonic() - self.started,
        }
        _write_metrics(self.folder, [*read_metrics(self.folder), row])
        self.run_log.info("step %(step)d  loss %(loss).4f  mrae %(mrae).4f  lr %(learning_rate).2e  %(seconds).0f s", row)
        self.mrae = None

    def _card(self, step: int) -> Card:
        config, learning = self.config, self.config.learning
        data, split = self.described
        return Card(
            name=config.name,
            encoding="linear",
            normalisation="white",
            quantity=config.data.quantity or "unknown",
            released_npm=config.network.released_npm,
            data=data,
            split=split,
            recipe=(
                f"step {step} of {learning.steps}, batch {learning.batch} of {config.data.patch} x {config.data.patch}, "
                f"Adam {learning.learning_rate:g}, camera {config.camera.name}, seed {config.seed}"
            ),
            scores={f"validation MRAE@{learning.validation_floor:g}": round(self.best, 4)},
        )


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics, oldest first; empty when there are none yet.

    Parameters
    ----------
    folder : Path
        The run folder.

    Returns
    -------
    list of dict
        Keys step, loss, mrae, learning_rate, seconds (since the start or the last resume).
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _write_metrics(folder: Path, rows: list[dict[str, float]]) -> None:
    with atomic_path(folder / METRICS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["step", "loss", "mrae", "learning_rate", "seconds"])
        writer.writeheader()
        writer.writerows(rows)
