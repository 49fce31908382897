"""The moving average of the weights, kept where the weights are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import lightning as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """An exponential moving average that forgets its random beginning, validated and kept in place of the weights themselves.

    Lightning makes the average before the weights are on their device, so on a GPU each step would copy all weights to the host, and
    it reads the number of steps from a tensor. Here the average is on the device, and the number is on the host.

    Parameters
    ----------
    decay : float
        Reached after about ``10 / (1 - decay)`` steps; before, step n decays by ``(1 + n) / (10 + n)``.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    @property
    def state_key(self) -> str:
        """That of Lightning's own average, with which runs began before this one was written."""
        return "WeightAveraging"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the average."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore weights and average; without both it is no checkpoint of a run, which Lightning would only warn of."""
        if missing := {"current_model_state", "averaging_state"} - checkpoint.keys():
            raise LookupError(f"it lacks {' and '.join(sorted(missing))}")
        super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Update the average with the weights of a step."""
        assert self._average_model is not None
        count, step = self._latest_update_step, trainer.global_step
        if step <= count:
            return
        decay = min((1 + count) / (10 + count), self.decay) if count else 0.0
        pairs = list(zip(_values(self._average_model.module), _values(pl_module), strict=True))
        averaged, current = zip(*((mine, its) for mine, its in pairs if mine.is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(averaged, current, None)  # type: ignore[no-untyped-call]
        for mine, its in pairs:
            if not mine.is_floating_point():
                mine.copy_(its)
        self._average_model.n_averaged.fill_(step)
        self._latest_update_step = step


def _values(module: nn.Module) -> Iterator[Tensor]:
    return (values.detach() for values in chain(module.parameters(), module.buffers()))
