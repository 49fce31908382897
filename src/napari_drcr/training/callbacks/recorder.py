"""Records of a running training: losses, metrics, log, and the best model so far."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.errors import InputError
from napari_drcr.models.store import Card, Model, save_model
from napari_drcr.training.familiarity import SeenBlocks
from napari_drcr.training.jobs.folder import MODEL
from napari_drcr.training.jobs.records import read_metrics, write_metrics
from napari_drcr.training.module import TrainingModule
from napari_drcr.training.sections import TrainingConfig

Progress = Callable[[int, int, str], None]
"""Called with the step, the steps in all, and a line of text."""

INTERVAL = 1.0
"""Seconds between two fetches of the losses; each waits for the device."""


class Recorder(Callback):
    """Fetches losses, writes metrics and log, keeps the best model, reports progress.

    Losses stay on the device until `fetch` brings them to the host together, so that the GPU's queue never runs empty.

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

    Attributes
    ----------
    rows : list of tuple
        Step, loss and learning rate of the steps that have been fetched; removed once written.
    fetched_step : int
        The last step of which the loss is known.
    """

    def __init__(
        self, config: TrainingConfig, folder: Path, card: Card, log: logging.Logger, progress: Progress | None
    ) -> None:
        self.config, self.folder, self.card, self.run_log, self.progress = config, folder, card, log, progress
        self.best = float("inf")
        self.mrae: float | None = None
        self.loss = float("nan")  # the last that was fetched
        self.rows: list[tuple[int, float, float]] = []
        self.losses, self.batches = 0.0, 0  # since the last validation
        self.fetched_step = self.next_fetch = 0
        self.began = False
        self.started = self.fetched = time.monotonic()
        self._waiting: list[tuple[int, Tensor, float]] = []
        self._seen = SeenBlocks()

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed run needs."""
        return {"best": self.best, "losses": self.losses, "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.best, self.losses, self.batches = (state_dict[name] for name in ("best", "losses", "batches"))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows that a resumed run will write again."""
        self.began, self.started = True, time.monotonic()
        self.fetched, self.fetched_step = self.started, trainer.global_step
        self.next_fetch = trainer.global_step + 1
        if not trainer.is_global_zero:
            return
        kept = [row for row in read_metrics(self.folder) if row["step"] <= trainer.global_step]
        write_metrics(self.folder, kept)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Report progress, and fetch the losses from time to time."""
        step, learning = trainer.global_step, self.config.learning
        self._waiting.append((step, outputs["loss"], float(trainer.optimizers[0].param_groups[0]["lr"])))
        if self._is_due(trainer):
            self.fetch(trainer)
        if self.progress is not None:
            self.progress(step, learning.steps, f"loss {self.loss:.4f}, best {self.best:.4f}")

    def _is_due(self, trainer: pl.Trainer) -> bool:
        step, learning = trainer.global_step, self.config.learning
        if step >= self.next_fetch or step % learning.validate_every == 0 or step == learning.steps:
            return True
        return trainer.world_size == 1 and time.monotonic() - self.fetched > INTERVAL

    def fetch(self, trainer: pl.Trainer) -> None:
        """Copy the losses of the last steps to the host, and stop if one is not finite.

        All processes of a run must call it at the same step.

        Parameters
        ----------
        trainer : lightning.Trainer
            Of the run.

        Raises
        ------
        InputError
            If a loss is not finite.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        pace = (time.monotonic() - self.fetched) / len(waiting)
        values = torch.stack([loss for _, loss, _ in waiting])
        # Mean over all processes, so that they continue or end together.
        *losses, pace = trainer.strategy.reduce(torch.cat([values, values.new_tensor([pace])]), reduce_op="mean").tolist()
        for (step, _, rate), loss in zip(waiting, losses, strict=True):
            if not isfinite(loss):
                raise InputError(f"the loss is {loss} at step {step}: choose a lower learning.learning_rate.")
            self.loss, self.losses, self.batches = loss, self.losses + loss, self.batches + 1
            self.rows.append((step, loss, rate))
        self.fetched, self.fetched_step = time.monotonic(), trainer.global_step
        # The clocks of the processes differ, so they agree on a step.
        self.next_fetch = self.fetched_step + max(int(INTERVAL / max(pace, 1e-6)), 1)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: tuple[Tensor, Tensor],
        batch_idx: int,
        *_: int,
    ) -> None:
        """Describe a validation image, which is not learned from."""
        if trainer.is_global_zero:
            self._seen.hold_out(batch_idx, batch[0][0].float().cpu().numpy())

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
                samples = trainer.global_step * self.config.learning.batch
                assert trainer.train_dataloader is not None
                familiarity = self._seen.familiarity(trainer.train_dataloader.dataset, samples)
                save_model(self.folder / MODEL, Model(card, pl_module.network, familiarity=familiarity))
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
