"""One way to run the network, in a process of its own, on command.

Orders come as lines of JSON on stdin, answers go out likewise on stdout. Whoever started it keeps it waiting between two passes, so
that all ways meet the same conditions in turn.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import warnings
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_drcr.benchmark.subject import find_network
from napari_drcr.errors import InputError
from napari_drcr.system.memory import is_lack_of_memory, peak, reset_peak, resident

if TYPE_CHECKING:
    from napari_drcr.inference.passes import Runner

NO_MEMORY = "ran out of memory."


@dataclass(frozen=True)
class Way:
    """A way to run the network.

    Attributes
    ----------
    how : {"plain", "fair", "strips"}
        The whole image in PyTorch's default memory format; channels-last; or in exact strips.
    device : str
        torch's name of it.
    precision : {"fp32", "bf16", "fp16"}
        "fp32" for the whole image.
    title : str
        In tables.
    """

    how: Literal["plain", "fair", "strips"]
    device: str
    precision: str
    title: str


class Child:
    """What a process does when it is told; every public method is an order, and gives an answer.

    Parameters
    ----------
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    image : Path
        ``.npy`` file of the image as the network takes it, shape (3, y, x), float32.
    way : Way
    """

    def __init__(self, model: str, image: Path, way: Way) -> None:
        import torch

        from napari_drcr.system.devices import limit_threads

        limit_threads()
        self._threads = torch.get_num_threads()
        _, network = find_network(model)
        self._way = way
        self._image = np.load(image)
        self._runners: dict[tuple[int | None, int], Runner] = {}
        if way.how == "strips":
            self._network = network
            self._runner(None, self._threads)
        else:
            self._network = network.to(way.device)
            if way.how == "fair":
                self._network = self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def start(self) -> dict[str, Any]:
        """Where it runs: `free` memory of the device in bytes, None where it does not tell, and `threads`."""
        import psutil
        import torch

        free = None
        if self._way.device.startswith("cuda"):
            free, _ = torch.cuda.mem_get_info(self._way.device)
        elif self._way.device == "cpu":
            free = psutil.virtual_memory().available
        return {"free": free, "threads": self._threads}

    def rate(self) -> dict[str, Any]:
        """The `rate` of the network's own convolution, in multiply-adds per second."""
        from napari_drcr.benchmark.cost import convolution_rate
        from napari_drcr.inference.passes import KINDS
        from napari_drcr.models.drcr.tiles import place

        return {"rate": convolution_rate(place(self._network, self._way.device, KINDS[self._way.precision]))}

    def once(self, tile: int | None = None, threads: int | None = None, file: str | None = None) -> dict[str, Any]:
        """A pass: its `seconds`; the `memory` that it took at most, in bytes, None where the device does not tell; the `tile`.

        With `file` the cube is written there.
        """
        import torch

        from napari_drcr.benchmark.cost import synchronize

        device = self._way.device
        torch.set_num_threads(threads or self._threads)
        runner = self._runner(tile, threads or self._threads) if self._way.how == "strips" else None
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        else:
            reset_peak()
            before = resident()
        synchronize(device)
        begun = time.perf_counter()
        cube = self._whole() if runner is None else _finish(runner.estimate(self._image))
        synchronize(device)
        seconds = time.perf_counter() - begun
        memory = None
        if device.startswith("cuda"):
            memory = torch.cuda.max_memory_allocated(device) - before
        elif device == "cpu":
            memory = max(peak() - before, 0)
        if runner is not None and runner.device != device:
            raise InputError(NO_MEMORY)
        if file is not None:
            if self._way.how == "plain" and device.startswith("cuda"):
                # What others are compared with has no part in the shorter mantissas (TF32) that torch takes there by itself.
                with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                    cube = self._whole()
            np.save(file, cube)
        used = runner.latest.tile if runner is not None and runner.latest is not None else None
        return {"seconds": seconds, "memory": memory, "tile": used}

    def refine(self, exact: bool) -> dict[str, Any]:
        """The `seconds` that the middle pixel takes in float32, after a pass."""
        import torch

        torch.set_num_threads(self._threads)
        latest = self._runner(None, self._threads).latest
        assert latest is not None
        y, x = (length // 2 for length in latest.size)
        begun = time.perf_counter()
        _finish(latest.refine((y, x, y + 1, x + 1), exact=exact))
        return {"seconds": time.perf_counter() - begun}

    def _runner(self, tile: int | None, threads: int) -> Runner:
        from napari_drcr.inference.passes import Runner

        if (tile, threads) not in self._runners:
            self._runners[tile, threads] = Runner(self._network, self._way.device, self._way.precision, tile)
        return self._runners[tile, threads]

    def _whole(self) -> npt.NDArray[np.float32]:
        import torch

        from napari_drcr.models.drcr.tiles import PYRAMID

        _, height, width = self._image.shape
        padded = np.pad(self._image, ((0, 0), (0, -height % PYRAMID), (0, -width % PYRAMID)), mode="reflect")
        with torch.inference_mode():
            rgb = torch.from_numpy(padded)[None].to(self._way.device)
            if self._way.how == "fair":
                rgb = rgb.contiguous(memory_format=torch.channels_last)
            cube: npt.NDArray[np.float32] = self._network(rgb)[0, :, :height, :width].cpu().numpy()
        return cube


def _finish(steps: Generator[Any, None, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            values: npt.NDArray[np.float32] = stop.value
            return values


def _answer(child: Child | None, order: dict[str, Any]) -> tuple[Child | None, dict[str, Any]]:
    what = order.pop("order")
    try:
        if what == "start":
            child = Child(order["model"], Path(order["image"]), Way(**order["way"]))
            return child, child.start()
        return child, getattr(child, what)(**order)
    except InputError as error:
        return child, {"error": str(error)}
    except (MemoryError, RuntimeError) as error:
        return child, {"error": NO_MEMORY if is_lack_of_memory(error) else f"failed: {str(error).splitlines()[0]}"}


def main() -> None:
    """Do as told until stdin ends."""
    # Ctrl-C ends it at once and in silence; who started it has something to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Where memory runs out the system is to end this process and not the one that started it.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr
    child = None
    for line in sys.stdin:
        child, answer = _answer(child, json.loads(line))
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
