"""What a run leaves as it goes on: its metrics, its log, and the best model so far."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import Callback

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.errors import InputError
from napari_drcr.models.store import Card, Model, save_model
from napari_drcr.training.jobs.folder import MODEL
from napari_drcr.training.jobs.records import read_metrics, write_metrics
from napari_drcr.training.module import TrainingModule
from napari_drcr.training.sections import TrainingConfig

Progress = Callable[[int, int, str], None]
"""Called with the step, the steps in all, and a line of text."""


class Recorder(Callback):
    """Writes metrics and log, keeps the best model, reports progress.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    folder : Path
        The run folder.
    card : Card
        Of the model, its scores to be filled in.
    log : logging.Logger
        Of the run.
    progress : callable or None
        See `start_run`.
    """

    def __init__(
        self, config: TrainingConfig, folder: Path, card: Card, log: logging.Logger, progress: Progress | None
    ) -> None:
        self.config, self.folder, self.card, self.run_log, self.progress = config, folder, card, log, progress
        self.best = float("inf")
        self.mrae: float | None = None
        self.loss = float("nan")  # of the last step
        self.losses, self.batches = 0.0, 0  # since the last row
        self.began = False
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {"best": self.best, "losses": self.losses, "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up `state_dict`."""
        self.best, self.losses, self.batches = (state_dict[name] for name in ("best", "losses", "batches"))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows that a resumed run will write again."""
        self.began, self.started = True, time.monotonic()
        if not trainer.is_global_zero:
            return
        kept = [row for row in read_metrics(self.folder) if row["step"] <= trainer.global_step]
        write_metrics(self.folder, kept)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Report progress, and stop where nothing more can be learned."""
        # Of all processes, so that they go on or end together.
        self.loss = loss = float(trainer.strategy.reduce(outputs["loss"], reduce_op="mean"))
        if not isfinite(loss):
            raise InputError(f"the loss is {loss} at step {trainer.global_step}: choose a lower learning.learning_rate.")
        self.losses, self.batches = self.losses + loss, self.batches + 1
        if self.progress is not None:
            self.progress(trainer.global_step, self.config.learning.steps, f"loss {loss:.4f}, best {self.best:.4f}")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the averaged weights if they are the best so far, and record the figures."""
        assert isinstance(pl_module, TrainingModule)
        mrae = fmean(pl_module.scores)
        if mrae < self.best:
            self.best = mrae
            title = f"validation {metric_name('mrae', self.config.learning.validation_floor)}"
            recipe = f"{self.card.recipe}, best at step {trainer.global_step}"
            card = self.card.model_copy(update={"scores": {title: round(mrae, 4)}, "recipe": recipe})
            if trainer.is_global_zero:
                save_model(self.folder / MODEL, Model(card, pl_module.network))
        self.mrae = mrae

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row to the metrics."""
        if (
            self.mrae is None or not trainer.is_global_zero
        ):  # Lightning resumes at the end of the epoch that the checkpoint closed.
            return
        row = {
            "step": trainer.global_step,
            "loss": self.losses / self.batches,
            "mrae": self.mrae,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.monotonic() - self.started,
        }
        write_metrics(self.folder, [*read_metrics(self.folder), row])
        self.run_log.info(
            "step %d: loss %.4f, MRAE@%g %.4f", row["step"], row["loss"], self.config.learning.validation_floor, self.mrae
        )
        self.mrae, self.losses, self.batches = None, 0.0, 0
