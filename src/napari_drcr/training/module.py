"""The learning: loss, optimiser, schedule, validation."""

from __future__ import annotations

from typing import Any

import lightning as pl
import numpy as np
import torch
from torch import Tensor, nn

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError
from napari_drcr.models.store import load_model
from napari_drcr.training.sections import TrainingConfig


def relative_loss(truth: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """MRAE with a soft floor, ``mean(|truth - estimate| / max(truth, floor))``.

    Parameters
    ----------
    truth, estimate : Tensor
        Of one shape.
    floor : float
        Darker entries count as if they were this bright.

    Returns
    -------
    Tensor
        A scalar.
    """
    return ((truth - estimate).abs() / truth.clamp_min(floor)).mean()


class TrainingModule(pl.LightningModule):
    """A network and how it learns.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    """

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        network = config.architecture.build(config.network, len(WAVELENGTHS))
        if config.learning.start_from is not None:
            network.load_state_dict(load_model(config.learning.start_from).estimator.state_dict())
        self.network = network.to(memory_format=torch.channels_last)
        self.scores: list[float] = []
        # In a list, and not as modules: they belong neither to the checkpoint nor to what is learned.
        self._teachers: list[nn.Module] = [
            load_model(teacher).estimator.eval().requires_grad_(False).to(memory_format=torch.channels_last)
            for teacher in config.learning.teachers
        ]

    def on_fit_start(self) -> None:
        """Put the teachers where the network is."""
        for teacher in self._teachers:
            teacher.to(self.device)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Loss of one batch of patches, perhaps beside the mean of the teachers (Hinton, Vinyals and Dean, arXiv 1503.02531). What the network draws at random depends on seed, step and process alone."""
        # Else a resumed run would not go on as if it had never been stopped.
        drawn = np.random.SeedSequence([self.config.seed, self.global_step, self.global_rank]).generate_state(1)
        torch.manual_seed(int(drawn[0]))
        rgb, cube = batch
        rgb = rgb.to(memory_format=torch.channels_last)
        learning = self.config.learning
        estimate = self.network(rgb)
        loss = relative_loss(cube, estimate, learning.floor)
        if not self._teachers:
            return loss
        with torch.no_grad():
            taught = torch.stack([teacher(rgb).float() for teacher in self._teachers]).mean(dim=0)
        return (1 - learning.teaching) * loss + learning.teaching * relative_loss(taught, estimate, learning.floor)

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self.scores = []

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """MRAE of one scene, over entries of at least the validation floor; returns the estimate. Each process sees all scenes."""
        rgb, cube = batch
        estimate: Tensor = self.network(rgb.to(memory_format=torch.channels_last)).float()
        counted = cube >= self.config.learning.validation_floor
        if not counted.any():
            raise InputError(
                f"a validation scene has no value of at least {self.config.learning.validation_floor:g}: lower learning.validation_floor."
            )
        self.scores.append(float((((cube - estimate).abs() / cube)[counted]).mean()))
        return estimate

    def configure_optimizers(self) -> Any:
        """Adam with decoupled weight decay, warmed up linearly, then decaying with a power of what remains."""
        learning = self.config.learning
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.config.learning_rate,
            betas=(0.9, learning.beta2),
            weight_decay=learning.weight_decay,
        )

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / (learning.warmup_steps + 1))
            return float(warm * max(0.0, 1 - step / learning.steps) ** learning.decay_power)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
