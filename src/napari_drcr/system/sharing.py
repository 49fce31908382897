"""Work distributed over several processes: the rank of this one, its share of the files, and the gathered results."""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from napari_drcr.errors import InputError
from napari_drcr.system.devices import choose_device, devices, usable_cores
from napari_drcr.system.imports import quick_imports

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Environment variables in which torchrun, Lightning and SLURM pass a process its rank."""
PATIENCE = timedelta(days=7)
"""How long a process that has finished its share waits for the others; in ms it must fit into 32 bits."""
MEETING = timedelta(seconds=10)
BACKEND = "gloo"
"""Of torch's process group; only small Python objects are exchanged, so it suffices on GPUs too."""

Item = TypeVar("Item")


def is_first() -> bool:
    """Whether this process has rank 0, and so reports for all of them.

    Returns
    -------
    bool
        True also for a single process.
    """
    return next((rank for name in RANKS if (rank := os.environ.get(name))), "0") == "0"


@dataclass(frozen=True)
class Share:
    """One of the processes that share some files.

    Parameters
    ----------
    rank : int
        Rank of the process, from 0.
    count : int
        Number of processes.
    device : str
        Device of this process; see `napari_drcr.system.devices.choose_device`.
    by_torchrun : bool
        Whether torchrun started them.
    """

    rank: int = 0
    count: int = 1
    device: str = "auto"
    by_torchrun: bool = False

    def part(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items of a common list that this process handles: every `count`-th."""
        return items[self.rank :: self.count]

    def gather(self, results: Sequence[Item]) -> list[Item]:
        """Gather the results of all processes; each must call this, and waits for the others.

        Parameters
        ----------
        results : sequence
            One for each item of `part`, in its order.

        Returns
        -------
        list
            One for each item of the common list, in its order.

        Raises
        ------
        InputError
            If another process ended before it had finished.
        """
        if self.count == 1:
            return list(results)
        from torch.distributed import all_gather_object

        parts: list[Any] = [None] * self.count
        try:
            all_gather_object(parts, list(results))
        except RuntimeError as error:
            raise InputError(
                "another of the processes that share the files ended before it had finished; its error is printed above."
            ) from error
        return [parts[number % self.count][number // self.count] for number in range(sum(map(len, parts)))]

    def meet(self) -> bool:
        """Wait some seconds for all processes to arrive; returns whether they did."""
        from torch.distributed import monitored_barrier

        try:
            monitored_barrier(timeout=MEETING)
        except RuntimeError:
            return False
        return True


ALONE = Share()
"""A single process."""


def join(wanted: int | None, device: str, files: int) -> Share:
    """Share files with other processes: those that torchrun has started, or else as many as are wanted, which Lightning Fabric starts.

    For programs, not for a call in the middle of one: Fabric runs the program again, with the same arguments, once for each further process. They
    synchronise here, so everything before must be the same in all of them.

    Parameters
    ----------
    wanted : int or None
        Devices: GPUs, or processes that share the cores of the CPU. No more are started than there are files.
    device : str
        "auto", "cuda" or "cpu"; with a single process also any other of `napari_drcr.system.devices.devices`.
    files : int
        Number of files.

    Returns
    -------
    Share
        The share of this process. Without `wanted` and torchrun it is the only one, and nothing is imported or started.

    Raises
    ------
    InputError
        If these devices are not available, or their number differs from that of the processes that torchrun started.
    """
    if wanted is not None and wanted < 1:
        raise InputError(f"the number of devices must be at least 1, not {wanted}.")
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if by_torchrun:
        count, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if wanted not in (None, here):
            raise InputError(f"torchrun has started {here} processes, but the number of devices is {wanted}; leave it out.")
    else:
        count = here = wanted or 1
    if count == 1:
        return Share(device=device)
    kind = _kind_of_several(device, here)
    if not by_torchrun:
        count = here = min(here, files)
        if count <= 1:
            return Share(device=device)
    import torch

    if by_torchrun:
        local_rank = int(os.environ["LOCAL_RANK"])
        if kind == "cuda":
            torch.cuda.set_device(local_rank)
        torch.distributed.init_process_group(BACKEND, timeout=PATIENCE)
    else:
        local_rank = _start_processes(kind, count)
    # Otherwise gloo's threads may still run when Python ends, which aborts the process in C++.
    atexit.register(torch.distributed.destroy_process_group)
    if kind == "cpu":
        torch.set_num_threads(max(1, usable_cores() // here))
    own = f"{kind}:{local_rank}" if kind == "cuda" else kind
    return Share(torch.distributed.get_rank(), count, own, by_torchrun)


def _start_processes(kind: str, count: int) -> int:
    """Start the other processes, or find those that this one is among; the local rank of this one."""
    with quick_imports():
        from lightning.fabric import Fabric
        from lightning.fabric.plugins.environments.lightning import LightningEnvironment
        from lightning.fabric.strategies.ddp import DDPStrategy

    with quiet_lightning():
        # The environment is named, because Lightning would wait for the processes of a SLURM job that has only one.
        strategy = DDPStrategy(cluster_environment=LightningEnvironment(), process_group_backend=BACKEND, timeout=PATIENCE)
        fabric = Fabric(accelerator=kind, devices=count, strategy=strategy)
        fabric.launch()
    return fabric.local_rank


def _kind_of_several(device: str, count: int) -> str:
    """The kind of device, cuda or cpu, of which there must be `count`."""
    if device.startswith("cuda:"):
        raise InputError(f"the device is {device!r}, but several are taken from the first on; choose device cuda.")
    kind = choose_device(device).partition(":")[0]
    if kind == "mps":
        raise InputError("several devices are GPUs of NVIDIA or AMD, or processes on the CPU; choose device cpu.")
    there = sum(name.startswith("cuda") for name in devices())
    if kind == "cuda" and count > there:
        raise InputError(f"the number of devices is {count}, but there are {there} GPUs here; choose fewer, or device cpu.")
    return kind


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's messages about hardware, tips and deprecations out of the user's terminal.

    Log messages are dropped in the current context only. Python's warnings have no context, so filters that match nothing but
    Lightning's own categories, and one deprecated function that it calls, are added for the process. They stay: restoring the
    list of filters would undo what other threads have changed meanwhile.

    Notes
    -----
    Not for the body of a generator, see `napari_drcr.errors.notices_to`.
    """
    from lightning.fabric.utilities.rank_zero import LightningDeprecationWarning
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    for category in (LightningDeprecationWarning, PossibleUserWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("ignore", r".isinstance.treespec, LeafSpec.. is deprecated", FutureWarning)
    # A filter is not inherited by loggers further down, unlike a level.
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("lightning.")]:
        logging.getLogger(name).addFilter(_is_wanted)
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


_quiet: ContextVar[bool] = ContextVar("whether Lightning is quiet", default=False)


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or not _quiet.get()
