"""Trainings of equal processor time, for benchmarks that compare networks or configurations.

A schedule needs the number of steps beforehand. A trial run, thrown away, measures the processor time of a step over `TRIAL` of the
budget, loading of samples included, and the number of steps follows from it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from napari_drcr.training.sections import TrainingConfig

TRIAL = 0.03
"""Share of the budget that the trial takes at least."""
TRIAL_STEPS = 5
"""It has at least so many steps that count, after `WARMING_UP` that are slower and do not."""
WARMING_UP = 3
TRIAL_LENGTH = 10**6
"""Steps that a trial is configured for, and never reaches."""


class Clock:
    """Processor time at each step of a run; its `progress`. May end the run with `Enough`."""

    class Enough(Exception):
        """The trial has seen enough."""

    def __init__(self, enough: Callable[[list[float]], bool] = lambda _: False) -> None:
        self.times: list[float] = []
        self._enough = enough

    def __call__(self, _step: int, _steps: int, _text: str) -> None:
        """Take the time after a step."""
        self.times.append(time.process_time())
        if self._enough(self.times):
            raise Clock.Enough

    def pace(self, skipped: int) -> float:
        """Seconds a step, without the first ones."""
        times = self.times[skipped:]
        return (times[-1] - times[0]) / (len(times) - 1)


def find_steps(configure: Callable[[int], TrainingConfig], seconds: float, folder: Path) -> int:
    """How many steps a budget suffices for.

    Parameters
    ----------
    configure : callable
        The run for a number of steps.
    seconds : float
        Processor time of the training process.
    folder : Path
        Of the trial run; removed before and after.

    Returns
    -------
    int
        2 or more.
    """
    from napari_drcr.training.run import start_run

    def enough(times: list[float]) -> bool:
        counted = times[WARMING_UP - 1 :]
        return len(counted) > TRIAL_STEPS and counted[-1] - counted[0] > TRIAL * seconds

    clock = Clock(enough)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        start_run(configure(TRIAL_LENGTH), folder, progress=clock)
    except Clock.Enough:
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return max(round(seconds / clock.pace(WARMING_UP - 1)), 2)
