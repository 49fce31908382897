"""Live reports of a run: its status, the loss of every step, a held-back patch."""

from __future__ import annotations

import time
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import lightning as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from napari_drcr.errors import InputError
from napari_drcr.system.files import atomic_path
from napari_drcr.training.callbacks.recorder import Recorder
from napari_drcr.training.jobs.folder import LOSSES, update_status
from napari_drcr.training.jobs.records import LOSS_COLUMNS, Float16Array, Preview, read_losses, write_preview
from napari_drcr.training.sections import TrainingConfig

PATCH = 64
"""Side of the held-back patch in pixels."""
LARGEST = float(np.finfo(np.float16).max)


class Reporter(Callback):
    """Writes status and losses whenever the recorder has fetched some, about every second, and a preview once a validation.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    folder : Path
        The run folder.
    device : str
        Where it trains.
    scene : str
        Name of the first held-back scene.
    recorder : Recorder
        Knows losses and best score; comes before this among the callbacks.
    """

    def __init__(self, config: TrainingConfig, folder: Path, device: str, scene: str, recorder: Recorder) -> None:
        self.config, self.folder, self.device, self.scene, self.recorder = config, folder, device, scene, recorder
        self.preview: Preview | None = None
        self.started = time.monotonic()
        self.first_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop losses that a resumed run will write again."""
        self.first_step, self.started = trainer.global_step, time.monotonic()
        if not trainer.is_global_zero:
            return
        kept = [(int(step), loss, rate) for step, loss, rate in read_losses(self.folder).tolist() if step <= self.first_step]
        with atomic_path(self.folder / LOSSES) as temporary:
            temporary.write_text(f"{','.join(LOSS_COLUMNS)}\n{_lines(kept)}", encoding="utf-8", newline="\n")
        self._report(trainer, state="running", device=self.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Report the losses that have been fetched."""
        if self.recorder.rows:
            self._report(trainer)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Crop the middle of the first scene."""
        if batch_idx == 0 and trainer.is_global_zero:
            rgb, truth = batch
            self.preview = Preview(trainer.global_step, self.scene, _middle(rgb), _middle(truth), _middle(outputs))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the preview, and report the score."""
        if self.preview is not None:
            write_preview(self.folder, self.preview)
        self._report(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the losses up to the checkpoint."""
        self._report(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the remaining losses."""
        self._report(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Report the remaining losses if still possible."""
        with suppress(InputError, RuntimeError):
            if trainer.world_size == 1:  # otherwise this process would wait for the others
                self.recorder.fetch(trainer)
        with suppress(OSError, InputError):
            self._report(trainer)

    def _report(self, trainer: pl.Trainer, **changes: Any) -> None:
        rows, self.recorder.rows = self.recorder.rows, []
        if not trainer.is_global_zero:
            return
        now, step, learning = time.monotonic(), trainer.global_step, self.config.learning
        if rows:
            changes["loss"] = rows[-1][1]
            with (self.folder / LOSSES).open("a", encoding="utf-8", newline="\n") as file:
                file.write(_lines(rows))
        done = step - self.first_step
        update_status(
            self.folder,
            step=step,
            epoch=min(step, learning.steps - 1) // learning.validate_every + 1,
            epochs=-(-learning.steps // learning.validate_every),
            best=self.recorder.best if isfinite(self.recorder.best) else None,
            seconds_left=(now - self.started) / done * (learning.steps - step) if done else None,
            **changes,
        )


def _lines(rows: list[tuple[int, float, float]]) -> str:
    return "".join(f"{step},{loss!r},{rate!r}\n" for step, loss, rate in rows)


def _middle(batch: Tensor) -> Float16Array:
    image = batch[0]
    top, left = (max(0, (side - PATCH) // 2) for side in image.shape[1:])
    patch = image[:, top : top + PATCH, left : left + PATCH].detach().float().cpu().numpy()
    return patch.clip(-LARGEST, LARGEST).astype(np.float16)
