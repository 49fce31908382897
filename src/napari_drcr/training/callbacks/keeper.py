"""Checkpoints: when and how they are saved, and stopping a run without losing steps."""

from __future__ import annotations

import os
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from torch.utils.hooks import RemovableHandle

from napari_drcr.system.files import atomic_path
from napari_drcr.training.callbacks.recorder import Recorder
from napari_drcr.training.jobs.folder import CHECKPOINT, STOP
from napari_drcr.training.jobs.session import Stopped, stop_if_asked
from napari_drcr.training.module import TrainingModule
from napari_drcr.training.sections import LearningConfig

INTERVAL = 60.0
"""Seconds between two checkpoints at most, if steps are shorter than that."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name in its folder, then renames it.

    Lightning writes to the system's folder for temporary files and moves the file. If that is on another disk, a killed process leaves
    a partial checkpoint in place of the last good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint atomically and flush it to disk."""
        content = BytesIO()
        torch.save(checkpoint, content)  # not to the file: torch would replace the error of a full disk with its own
        Path(path).parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())


class Keeper(Checkpoint):
    """Keeps the last checkpoint, and ends the run when it is asked to.

    A checkpoint is due a minute after the last one, after each validation, and one step before it. The last of these is what a run
    goes back to that is stopped or killed during a validation: Lightning would not repeat that validation if it were resumed
    in between.

    Parameters
    ----------
    folder : Path
        The run folder.
    learning : LearningConfig
        Of the run.
    recorder : Recorder
        Fetches the losses up to a checkpoint; comes before this among the callbacks.
    """

    def __init__(self, folder: Path, learning: LearningConfig, recorder: Recorder) -> None:
        self.folder, self.recorder = folder, recorder
        self.validate_every, self.steps = learning.validate_every, learning.steps
        self.kept_step = 0
        self.kept_at = time.monotonic()
        self.hooks: list[RemovableHandle] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the step of the checkpoint that is resumed from."""
        self.kept_step, self.kept_at = trainer.global_step, time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save a checkpoint if one is due, and stop if requested."""
        step = trainer.global_step
        if self._validates(step):
            # Lightning checks for the end of training after its validation, and would skip the last one if it stopped early.
            trainer.should_stop = step == self.steps
            return
        stop, due = False, self._validates(step + 1)
        # Several processes agree on stopping and saving, which they do together, when they wait for each other's losses anyway.
        if trainer.world_size == 1 or self.recorder.fetched_step == step:
            stop = self._stop(trainer)
            late = time.monotonic() - self.kept_at > INTERVAL
            due = trainer.strategy.reduce_boolean_decision(stop or due or late, all=False)
        if due:
            self._keep(trainer)
        if stop:
            raise Stopped(self.kept_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before each layer whether the run is to stop: a large scene takes long."""
        assert isinstance(pl_module, TrainingModule)
        if trainer.world_size == 1:  # otherwise the other processes would wait forever
            self.hooks = [layer.register_forward_pre_hook(self._leave) for layer in pl_module.network.modules()]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove these checks."""
        while self.hooks:
            self.hooks.pop().remove()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a checkpoint after a validation."""
        if trainer.global_step == self.kept_step:  # Lightning resumes at the end of the epoch that the checkpoint closed.
            return
        self._keep(trainer)
        if trainer.global_step < self.steps and self._stop(trainer):
            raise Stopped(self.kept_step)

    def _validates(self, step: int) -> bool:
        return step % self.validate_every == 0 or step == self.steps

    def _leave(self, *_: Any) -> None:
        stop_if_asked(self.folder, self.kept_step)

    def _stop(self, trainer: pl.Trainer) -> bool:
        asked = (self.folder / STOP).exists() or trainer.received_sigterm
        return trainer.strategy.reduce_boolean_decision(asked, all=False)

    def _keep(self, trainer: pl.Trainer) -> None:
        self.recorder.fetch(trainer)
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        self.kept_step, self.kept_at = trainer.global_step, time.monotonic()
