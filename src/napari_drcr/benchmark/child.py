"""One way to run the network, in a separate process, on command.

Commands arrive as lines of JSON on stdin, answers are written likewise to stdout. The parent process lets it wait between two passes, so
that all ways are measured in turn, under the same conditions.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_drcr.benchmark.subject import find_network
from napari_drcr.errors import InputError
from napari_drcr.system.memory import free_memory, is_lack_of_memory, peak, reset_peak, resident
from napari_drcr.system.steps import run_to_end

if TYPE_CHECKING:
    from napari_drcr.inference.passes import NetworkRunner

NO_MEMORY = "ran out of memory."


@dataclass(frozen=True)
class Way:
    """A way to run the network.

    Attributes
    ----------
    how : {"plain", "fair", "own"}
        The whole image in PyTorch's default memory format; channels-last; or as the network's `Execution` runs it.
    device : str
        torch's name of it.
    precision : {"fp32", "bf16", "fp16"}
        "fp32" for the whole image.
    title : str
        In tables.
    """

    how: Literal["plain", "fair", "own"]
    device: str
    precision: str
    title: str


class Child:
    """Executes the commands of the parent process; every public method is a command, and returns its answer.

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
        self._model = find_network(model)
        self._way = way
        self._image = np.load(image)
        self._runners: dict[tuple[int | None, int], NetworkRunner] = {}
        if way.how == "own":
            self._runner(None, self._threads)
        else:
            self._network = self._model.estimator.to(way.device)
            if way.how == "fair":
                self._network = self._network.to(memory_format=torch.channels_last)

    def start(self) -> dict[str, Any]:
        """Where it runs: `free` memory of the device in bytes, None where it does not report it, and `threads`."""
        return {"free": free_memory(self._way.device), "threads": self._threads}

    def rate(self) -> dict[str, Any]:
        """The `rate` of the network's own convolution, in multiply-adds per second."""
        from napari_drcr.benchmark.cost import convolution_rate
        from napari_drcr.inference.passes import KINDS
        from napari_drcr.models.execution import put

        return {"rate": convolution_rate(put(self._model.estimator, self._way.device, KINDS[self._way.precision]))}

    def once(self, tile: int | None = None, threads: int | None = None, file: str | None = None) -> dict[str, Any]:
        """A pass: its `seconds`; the `memory` that it took at most, in bytes, None where the device does not report it; the `tile`.

        With `file` the cube is written there.
        """
        import torch

        from napari_drcr.benchmark.cost import synchronize

        device = self._way.device
        torch.set_num_threads(threads or self._threads)
        runner = self._runner(tile, threads or self._threads) if self._way.how == "own" else None
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        else:
            reset_peak()
            before = resident()
        synchronize(device)
        begun = time.perf_counter()
        cube = self._whole() if runner is None else run_to_end(runner.estimate(self._image))
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
                # The reference is computed without TF32, which torch would use by default.
                with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                    cube = self._whole()
            np.save(file, cube)
        used = runner.latest.tile if runner is not None and runner.latest is not None else None
        return {"seconds": seconds, "memory": memory, "tile": used}

    def refine(self, exact: bool) -> dict[str, Any]:
        """The `seconds` that the middle pixel takes in float32, after a pass; nothing where windows cannot be computed."""
        import torch

        torch.set_num_threads(self._threads)
        latest = self._runner(None, self._threads).latest
        if latest is None:
            return {}
        y, x = (length // 2 for length in latest.size)
        begun = time.perf_counter()
        run_to_end(latest.refine((y, x, y + 1, x + 1), exact=exact))
        return {"seconds": time.perf_counter() - begun}

    def _runner(self, tile: int | None, threads: int) -> NetworkRunner:
        from napari_drcr.inference.passes import NetworkRunner

        if (tile, threads) not in self._runners:
            self._runners[tile, threads] = NetworkRunner(self._model, self._way.device, self._way.precision, tile)
        return self._runners[tile, threads]

    def _whole(self) -> npt.NDArray[np.float32]:
        import torch

        from napari_drcr.inference.passes import pad_to_multiple

        _, height, width = self._image.shape
        padded = pad_to_multiple(self._image, self._model.architecture.multiple)
        with torch.inference_mode():
            rgb = torch.from_numpy(padded)[None].to(self._way.device)
            if self._way.how == "fair":
                rgb = rgb.contiguous(memory_format=torch.channels_last)
            cube: npt.NDArray[np.float32] = self._network(rgb)[0, :, :height, :width].cpu().numpy()
        return cube


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
    """Execute commands until stdin ends."""
    # Ctrl-C ends it immediately and silently; the parent process reports it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # If memory runs out, the system should kill this process, not its parent.
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
