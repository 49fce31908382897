"""Expected memory and time of a run: a few of its steps, measured in a separate process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from napari_drcr.errors import Cancelled, InputError
from napari_drcr.io import read_cube
from napari_drcr.system.devices import choose_device, devices
from napari_drcr.system.files import atomic_path
from napari_drcr.system.imports import quick_imports
from napari_drcr.system.memory import is_lack_of_memory, peak, resident
from napari_drcr.training.config import read_config, write_config
from napari_drcr.training.dataset import find_scenes
from napari_drcr.training.sections import TrainingConfig

if TYPE_CHECKING:
    import xarray as xr

STEPS = 12
ENOUGH_SECONDS = 3.0
"""Measuring ends with the first step after this, or after `STEPS`."""
WARMING_UP = 2
"""Slower first steps, which count only if there are no others."""
BACKWARD = 2.0
"""Time of the backward pass, for gradients of values and of weights, relative to the forward pass."""
OUT_OF_MEMORY = 3
NOT_USABLE = 2


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take.

    Attributes
    ----------
    memory_bytes : int or None
        Largest amount of the device's memory: of a GPU what torch held there; of the CPU by how much this process grew over what it
        had before it built the network. Loader processes are not counted. None where the system does not report it.
    seconds_per_step : float
        Loading of samples included.
    seconds_per_epoch : float
        From one validation to the next, that validation included: its time is inferred from that of a step.
    steps : int
        Of the whole run.
    seconds : float
        Of the whole run.
    device : str
        Where it was measured.
    precision : str
    """

    memory_bytes: int | None
    seconds_per_step: float
    seconds_per_epoch: float
    steps: int
    seconds: float
    device: str
    precision: str


def probe(config: TrainingConfig, *, cancelled: Callable[[], bool] | None = None) -> Estimate:
    """Train a few steps in a separate process; nothing is kept but the cached scenes.

    Parameters
    ----------
    config : TrainingConfig
        The run. A run on several devices is measured on one of them, with its part of the batch.
    cancelled : callable, optional
        Called several times a second; True ends the process.

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        If the memory does not suffice, stating what to reduce, or the data cannot be trained on.
    Cancelled
        If `cancelled` returned True.
    """
    device = choose_device(config.device)
    with tempfile.TemporaryDirectory(prefix="napari-drcr-") as name:
        folder = Path(name)
        write_config(folder / "config.yaml", config)
        command = [sys.executable, "-m", __name__, str(folder)]
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            while process.poll() is None:
                if cancelled is not None and cancelled():
                    raise Cancelled
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        if process.returncode == 0:
            return Estimate(**json.loads((folder / "estimate.json").read_text(encoding="utf-8")))
        text = (folder / "output.txt").read_text(encoding="utf-8", errors="replace").strip()
    if process.returncode == NOT_USABLE:
        raise InputError(text.splitlines()[-1])
    # Linux kills processes that run out of memory with signal 9.
    if process.returncode in (OUT_OF_MEMORY, -9):
        batch, patch = config.learning.batch, config.data.patch
        raise InputError(
            f"a step of {batch} patches of {patch} x {patch} does not fit into the memory of {devices()[device]}; choose a smaller "
            "learning.batch or data.patch, or a smaller network."
        )
    raise InputError(
        f"the trial ended with code {process.returncode}: {text.splitlines()[-1] if text else 'it printed nothing'}."
    )


def _measure(config: TrainingConfig) -> Estimate:
    """The work of the process: the run as it is, for a few steps, without validation and without a folder."""
    from napari_drcr.training.reflectances import read_reflectances
    from napari_drcr.training.scenes import ScenesOnDemand

    # One process of several, with its part of the batch.
    learning = config.learning.model_copy(update={"batch": config.learning.batch // config.processes})
    one = config.model_copy(update={"learning": learning, "devices": 1, "nodes": 1})
    # What is wrong with the data is mostly wrong with the first scene: it is rejected before torch and Lightning are imported.
    scenes = ScenesOnDemand(one.data, at_most=STEPS * learning.batch)
    next(iter(scenes), None)
    reflectances = read_reflectances(one.reflectances)
    with quick_imports():
        import lightning as pl
        import torch
        from lightning.pytorch.callbacks import Callback

        from napari_drcr.models.execution import ieee_arithmetic
        from napari_drcr.training.callbacks.averaging import MovingAverage
        from napari_drcr.training.data import make_loaders
        from napari_drcr.training.module import TrainingModule
        from napari_drcr.training.processes import placement, training_precision

    device = choose_device(one.device)
    precision = training_precision(learning.precision, device, one.architecture.precisions)
    begun: list[float] = []
    ended: list[float] = []

    class Clock(Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            begun.append(time.perf_counter())

        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            ended.append(time.perf_counter())
            if len(ended) >= STEPS or ended[-1] - begun[0] > ENOUGH_SECONDS:
                trainer.should_stop = True

    before = resident()
    trainer = pl.Trainer(
        **placement(one, device, precision),
        max_steps=learning.steps,
        gradient_clip_val=learning.clip,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[MovingAverage(learning.ema_decay), Clock()],
    )
    loader, _ = make_loaders(one, scenes, [], lambda: (trainer.global_step, 0), device=device, reflectances=reflectances)
    with ieee_arithmetic():
        trainer.fit(TrainingModule(one), loader)
    most = torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
    if device == "cpu":
        most = peak() - before
    # From the end of one step to that of the next: with whatever waiting for samples there is.
    whole = [later - earlier for earlier, later in pairwise(ended)][WARMING_UP - 1 :] or [ended[-1] - begun[0]]
    work = [later - earlier for earlier, later in zip(begun, ended, strict=True)][WARMING_UP:] or [ended[-1] - begun[-1]]
    per_pixel = fmean(work) / (1 + BACKWARD) / (learning.batch * one.data.patch**2)
    pixels = sum(cube.sizes["y"] * cube.sizes["x"] for cube in _validation_cubes(one))
    seconds_per_step, validation = fmean(whole), pixels * per_pixel
    epoch = min(learning.validate_every, learning.steps)
    return Estimate(
        memory_bytes=most,
        seconds_per_step=seconds_per_step,
        seconds_per_epoch=epoch * seconds_per_step + validation,
        steps=learning.steps,
        seconds=learning.steps * seconds_per_step + math.ceil(learning.steps / epoch) * validation,
        device=device,
        precision=precision,
    )


def _validation_cubes(config: TrainingConfig) -> Iterator[xr.DataArray]:
    for files in find_scenes(config.data):
        if files.held_back:
            yield read_cube(files.cube, lazy=True)


def _main(folder: Path) -> int:
    warnings.simplefilter("ignore")
    try:
        estimate = _measure(read_config(folder / "config.yaml"))
    except InputError as error:
        print(error, file=sys.stderr)
        return NOT_USABLE
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        return OUT_OF_MEMORY
    with atomic_path(folder / "estimate.json") as temporary:
        temporary.write_text(json.dumps(asdict(estimate)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
