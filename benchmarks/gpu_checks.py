"""The checks of benchmarks/gpu.py, which runs them in a process of their own: each tells what it finds, a line of JSON at a time."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

from napari_drcr.errors import Cancelled, InputError, Notice, notices_to

LIMITS = {"fp32": (1e-4, 1e-5), "fp16": (1e-2, 2e-3), "bf16": (5e-2, 1e-2)}
"""Largest and mean deviation from the CPU's fp32, in terms of the largest and the mean value."""
WARM_UP = 30
"""Training steps that do not count; a tenth of them where times are not judged."""
PROFILED = 50
"""Training steps in which synchronisations are counted."""
LEFT_BEHIND = 64 * 2**20
"""Bytes of the card that may stay in use after a run; libraries keep some work space."""


@dataclass(frozen=True)
class Plan:
    """What is checked.

    Attributes
    ----------
    device : str
        A key of `napari_drcr.system.devices.devices`.
    quick : bool
        Whether sizes are tiny and times are not judged.
    """

    device: str
    quick: bool

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU that torch calls cuda."""
        return self.device.startswith("cuda")


class Notes:
    """Tells findings as they come up.

    Parameters
    ----------
    stream : text stream
        Where the lines of JSON go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, **values: Any) -> None:
        """Write one line."""
        print(json.dumps(values), file=self._stream, flush=True)

    def add(self, what: str, measured: str, *, limit: str = "", passed: bool | None = None) -> None:
        """Tell what was measured, and whether that is within a limit."""
        self.event(what=what, measured=measured, limit=limit, passed=passed)

    def number(
        self, what: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Tell a number, and whether it is within a limit."""
        limit, passed = "", None
        if at_most is not None:
            limit, passed = f"at most {at_most:g}", value <= at_most
        elif at_least is not None:
            limit, passed = f"at least {at_least:g}", value >= at_least
        self.add(what, f"{value:.3g} {unit}".strip(), limit=limit, passed=passed)


def card(plan: Plan, notes: Notes) -> None:
    """What this ran on."""
    import torch

    from napari_drcr.system.devices import devices, precisions, processor_name
    from napari_drcr.system.memory import free_memory

    notes.add("device", f"{plan.device}: {devices()[plan.device]}")
    if plan.cuda:
        found = torch.cuda.get_device_properties(plan.device)
        notes.add("memory", f"{found.total_memory / 1e9:.1f} GB, {(free_memory(plan.device) or 0) / 1e9:.1f} GB of it free")
        notes.add("compute capability, multiprocessors", f"{found.major}.{found.minor}, {found.multi_processor_count}")
        notes.add("CUDA, cuDNN", f"{torch.version.cuda or torch.version.hip}, {torch.backends.cudnn.version()}")  # type: ignore[no-untyped-call]
    notes.add("precisions, the one of auto first", ", ".join(precisions(plan.device)))
    notes.add("processor", processor_name())
    for package in ("napari-drcr", "torch", "lightning", "numpy", "napari"):
        with suppress(PackageNotFoundError):
            notes.add(package, version(package))
    notes.add("Python", sys.version.split()[0])


def agreement(plan: Plan, notes: Notes) -> None:
    """The shipped networks on the bundled sample, in each precision, against fp32 on the CPU: deviations."""
    from napari_drcr.benchmark.report import Deviation
    from napari_drcr.benchmark.subject import make_image
    from napari_drcr.models.store import load_model, shipped_models
    from napari_drcr.system.devices import precisions

    image = make_image(48, 64) if plan.quick else make_image(240, 320)
    for name in shipped_models():
        model = load_model(name)
        if model.architecture.per_pixel:
            continue
        reference, _ = estimate(image, model, "cpu", "fp32")
        for precision in precisions(plan.device):
            cube, _ = estimate(image, model, plan.device, precision)
            found = Deviation.between(cube.values, reference.values)
            largest, mean = LIMITS[precision]
            notes.number(f"{name}, {precision}: largest deviation", found.largest, at_most=largest)
            notes.number(f"{name}, {precision}: mean deviation", found.mean, at_most=mean)
            notes.add(f"{name}, {precision}: computed on", where := cube.attrs["device"], passed=where == plan.device)


def estimate(image: Any, model: Any, device: str, precision: str) -> tuple[Any, list[str]]:
    """A cube, and what was said about it."""
    from napari_drcr.inference.reconstruction import reconstruct

    said: list[Notice] = []
    with notices_to(said.append):
        cube = reconstruct(image, model, device=device, precision=precision, encoding="linear")
    return cube, [str(notice) for notice in said]


def little_memory(plan: Plan, notes: Notes) -> None:
    """`photo` in fp32 where memory is short: smaller pieces, then the CPU; the cube stays the same."""
    import torch

    from napari_drcr.benchmark.report import Deviation
    from napari_drcr.benchmark.subject import make_image
    from napari_drcr.models.store import load_model

    model, image = load_model("photo-drcr"), make_image(64, 80) if plan.quick else make_image(1024, 1536)
    estimate(image[:64, :64], model, plan.device, "fp32")  # what libraries keep is not the image's
    tidy(plan)
    before = torch.cuda.memory_allocated(plan.device) if plan.cuda else 0
    whole, _ = estimate(image, model, plan.device, "fp32")
    most = torch.cuda.max_memory_allocated(plan.device) - before if plan.cuda else 0
    if plan.cuda:
        notes.add("memory of a pass", f"{most / 1e9:.2f} GB, the whole image in one piece")
    cases = [("smaller pieces", most // 2, 40)]
    if plan.device != "cpu":
        cases.append(("which takes longer", most // 40, 0))
    for expected, room, side in cases:
        with short_of_memory(plan, room, side):
            cube, said = estimate(image, model, plan.device, "fp32")
        allowed = f"with {room / 1e6:.0f} MB" if plan.cuda else f"pieces above {side} refused"
        last = said[-1] if said else "no notice"
        notes.add(allowed, last, limit=f"says: {expected}", passed=any(expected in sentence for sentence in said))
        found = Deviation.between(cube.values, whole.values)
        notes.number(f"{allowed}: largest deviation", found.largest, at_most=LIMITS["fp32"][0])


@contextmanager
def short_of_memory(plan: Plan, room: int, side: int) -> Iterator[None]:
    """Leave so many bytes of a CUDA device; on other devices refuse pieces larger than a side."""
    import torch

    from napari_drcr.inference import passes

    tidy(plan)
    if plan.cuda:
        total = torch.cuda.get_device_properties(plan.device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(plan.device) + room) / total, plan.device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, plan.device)
        return
    there = passes.execution_of

    def lacking(model: Any, device: str, precision: str) -> Any:
        execution = there(model, device, precision)
        run = execution.run

        def refuse(rgb: Any, **given: Any) -> Any:
            if device == plan.device and given["side"] > side:
                raise torch.OutOfMemoryError("out of memory, for this check")
            return run(rgb, **given)

        execution.run = refuse  # type: ignore[method-assign]
        return execution

    with patch.object(passes, "execution_of", lacking):
        yield


def speed(plan: Plan, notes: Notes) -> None:
    """A pass at 482 x 512 pixels: napari-drcr's own way beside the plain path, and the share of the card's rate that it reaches."""
    if plan.quick:
        measure_speed(plan, notes, ("photo-drcr",), (24, 30), 1, 60)
    else:
        measure_speed(plan, notes, ("photo-drcr", "full-size"), (482, 512), 3, 45)


def speed_large(plan: Plan, notes: Notes) -> None:
    """The same at 12 megapixels; a way that takes too long, or more memory than there is, is left out."""
    if plan.quick:
        notes.add("left out", "it is the check before on a larger image")
    else:
        measure_speed(plan, notes, ("photo-drcr", "full-size"), (4096, 3072), 1, 60)


def measure_speed(
    plan: Plan, notes: Notes, models: tuple[str, ...], size: tuple[int, int], rounds: int, seconds: float
) -> None:
    """Every way to run each model, in processes of `napari_drcr.benchmark`; a model that takes longer than so many seconds is left out."""
    from napari_drcr.benchmark.run import run

    for model in models:
        end = time.monotonic() + seconds
        title = f"{model}, {size[0]} x {size[1]}"

        def stop_in_time(*_: object, end: float = end) -> None:
            if time.monotonic() > end:
                raise Cancelled

        try:
            report = run(model, device=plan.device, size=size, rounds=rounds, settings=False, progress=stop_in_time)
        except Cancelled:
            notes.add(title, f"left out, it takes more than {seconds:.0f} s")
            continue
        plain = report.find("plain")
        for row in report.rows:
            if row.median is None:
                notes.add(f"{title}, {row.way.title}", row.left_out)
                continue
            said = [f"{1000 * row.median:.1f} ms", f"{size[0] * size[1] / 1e6 / row.median:.2f} MP/s"]
            if plain and plain.median:
                said.append(f"{plain.median / row.median:.2f} times as fast as plain")
            if row.floor:
                said.append(f"{100 * row.floor / row.median:.0f} % of the rate of the convolution by itself")
            if row.memory is not None:
                said.append(f"{row.memory / 1e6:.0f} MB")
            notes.add(f"{title}, {row.way.title}", ", ".join(said))
        own = report.find("own")
        if own and own.deviation:
            notes.number(f"{title}, {own.way.title}: largest deviation", own.deviation.largest, at_most=LIMITS["fp32"][0])
        best = min((row.median for row in report.rows if row.way.how == "own" and row.median), default=None)
        if best and plain and plain.median and not plan.quick:
            notes.number(f"{title}: times as fast as plain, the best precision", plain.median / best, at_least=1)


def training(plan: Plan, notes: Notes) -> None:
    """The preset `small` on simulated photos: steps per second with and without workers, and how often a step waits for the GPU."""
    from kill_runs import make_scenes

    from napari_drcr.training.config import make_config, read_config
    from napari_drcr.training.data import workers_for

    with tempfile.TemporaryDirectory() as name:
        make_scenes(Path(name) / "scenes", 32 if plan.quick else 256)
        fields: dict[str, Any] = {"device": plan.device, "data__folder": Path(name) / "scenes", "learning__steps": 10**6}
        fields |= {"data__patch": 16, "learning__batch": 2} if plan.quick else {}
        config = read_config("small", **fields, learning__validate_every=10**6)
        rates = []
        for workers in (0, workers_for(config, plan.device) or 1):
            one = make_config(config.model_dump(), data__workers=workers)
            clock = Clock(*((WARM_UP // 10, 0.2) if plan.quick else (WARM_UP, 10.0)), profiled=plan.cuda and workers > 0)
            steps_of(one, Path(name) / f"run-{workers}", clock)
            rates.append(clock.rate)
            notes.number(f"{workers} workers", clock.rate, "steps/s")
            if clock.waits is not None:
                notes.number("synchronisations a step", clock.waits, at_most=0.2)
        if plan.cuda and not plan.quick:
            notes.number("steps/s with workers over those without", rates[1] / rates[0], at_least=0.95)


class Clock:
    """Counts the steps of a run, and ends it when there are enough.

    Parameters
    ----------
    warm_up : int
        Steps that do not count.
    seconds : float
        For which it counts those that follow.
    profiled : bool
        Whether to count in how many of `PROFILED` further steps the host waits for the GPU.

    Attributes
    ----------
    rate : float
        Steps per second.
    waits : float or None
        Synchronisations a step.
    """

    def __init__(self, warm_up: int, seconds: float, *, profiled: bool) -> None:
        self.warm_up, self.seconds, self.profiled = warm_up, seconds, profiled
        self.rate, self.waits = 0.0, None if not profiled else float("nan")
        self._begun = 0.0
        self._last = 0
        self._profiler: Any = None

    def __call__(self, step: int, *_: object) -> None:
        """Take note of a step."""
        import torch

        if step == self.warm_up:
            self._begun = time.perf_counter()
        elif self._last:
            if step == self._last + PROFILED:
                self._profiler.stop()
                counts = {event.key: event.count for event in self._profiler.key_averages()}
                waits = sum(count for key, count in counts.items() if key.endswith(("StreamSynchronize", "DeviceSynchronize")))
                self.waits = waits / PROFILED
                raise Cancelled
        elif step > self.warm_up and (passed := time.perf_counter() - self._begun) > self.seconds:
            self.rate = (step - self.warm_up) / passed
            if not self.profiled:
                raise Cancelled
            self._last = step
            self._profiler = torch.profiler.profile()
            self._profiler.start()


def steps_of(config: Any, folder: Path, clock: Clock) -> None:
    """Train until the clock says that it is enough."""
    from napari_drcr.training.run import start_run

    with warnings.catch_warnings(), suppress(Cancelled):
        warnings.simplefilter("ignore")
        start_run(config, folder, progress=clock)


def queue(plan: Plan, notes: Notes) -> None:
    """Two runs on one device: the second waits until the first has ended, and the card's memory is free afterwards."""
    from kill_runs import make_scenes, tiny

    from napari_drcr.system.memory import free_memory
    from napari_drcr.training.config import make_config
    from napari_drcr.training.jobs import prepare, read_run, start, stop

    def wait_for(state: str, folder: Path, seconds: float = 60.0) -> float:
        end = time.monotonic() + seconds
        while (run := read_run(folder)).state != state:
            if run.state == "crashed" or time.monotonic() > end:
                raise RuntimeError(f"{folder.name} is {run.state} and not {state}: {run.cause or 'no cause is given'}")
            time.sleep(0.02)
        return time.monotonic()

    tidy(plan)
    free = free_memory(plan.device)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        make_scenes(Path(name) / "scenes")
        config = make_config(tiny(Path(name) / "scenes", 100_000).model_dump(), device=plan.device)
        first, second = (Path(name) / which for which in ("first", "second"))
        for folder in (first, second):
            prepare(config, folder)
            stack.callback(end_run, folder)
        begun = time.monotonic()
        start(first)
        notes.number("start of the first run until it trains", wait_for("running", first) - begun, "s")
        start(second)
        wait_for("queued", second)
        time.sleep(1 if plan.quick else 3)
        states = [read_run(folder).state for folder in (first, second)]
        notes.add("both were started", ", ".join(states), limit="running, queued", passed=states == ["running", "queued"])
        stop(first)
        ended = wait_for("stopped", first)
        notes.number("end of the first until the second trains", wait_for("running", second) - ended, "s")
        stop(second)
        wait_for("stopped", second)
        states = [read_run(folder).state for folder in (first, second)]
        notes.add("both were stopped", ", ".join(states), limit="stopped, stopped", passed=states == ["stopped"] * 2)
    if free is not None and plan.cuda:
        time.sleep(2)  # until the driver has cleared up
        notes.number(
            "memory in use afterwards", (free - (free_memory(plan.device) or 0)) / 2**20, "MiB", at_most=LEFT_BEHIND / 2**20
        )


def end_run(folder: Path) -> None:
    """Stop a run whatever it does, and wait for its end."""
    from napari_drcr.training.jobs import read_run, stop

    with suppress(InputError):
        stop(folder)
    end = time.monotonic() + 30
    while read_run(folder).alive and time.monotonic() < end:
        time.sleep(0.05)


def clicks(plan: Plan, notes: Notes) -> None:
    """A click on *Reconstruct* in napari, *Cancel* during a large image, and the memory that is in use afterwards."""
    if find_spec("napari") is None or find_spec("qtpy") is None:
        notes.add("left out", "napari or Qt is not installed")
        return
    screen: list[str] = []
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        if shutil.which("xvfb-run") is None:
            notes.add("left out", "there is no screen, and no xvfb-run to make one")
            return
        screen = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24"]
    with tempfile.TemporaryDirectory() as name:
        command = [*screen, sys.executable, __file__, json.dumps(asdict(plan)), "click_in_viewer"]
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NAPARI_CONFIG": str(Path(name) / "settings.yaml")},
            check=False,
        )
    events = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    for event in events:
        if "what" in event:
            notes.event(**event)
    (error,) = [event["error"] for event in events if "ended" in event] or [f"the viewer ended with code {process.returncode}"]
    if error:
        raise RuntimeError(error)


def click_in_viewer(plan: Plan, notes: Notes) -> None:
    """What `clicks` does, in the process that has the viewer."""
    import torch
    from clicks import SIZE, add_photo, click, open_dock
    from explore import pause, wait_until

    from napari_drcr.widgets.viewer.controls import find_hardware

    def in_use() -> int:
        gc.collect()
        return torch.cuda.memory_allocated(plan.device) if plan.cuda else 0

    dock, viewer = open_dock()
    find_hardware().result()
    wait_until(lambda: plan.device in dock.device.choices, 20)
    dock.device.value = plan.device
    add_photo(viewer, *((32, 48) if plan.quick else SIZE))
    dock.choose_active_layer()
    times = [click(dock) for _ in range(1 if plan.quick else 6)]
    notes.number("first click until the cube is a layer", times[0], "s")
    if times[1:]:
        notes.number("further clicks, the median", sorted(times[1:])[len(times[1:]) // 2], "s")
    notes.add("the dock says", dock.status.text(), passed=True)
    viewer.layers.clear()
    if plan.cuda:
        notes.number("memory in use after the clicks", in_use() / 2**20, "MiB", at_most=LEFT_BEHIND / 2**20)

    add_photo(viewer, *((800, 1000) if plan.quick else (4096, 3072)))
    dock.choose_active_layer()
    layers = len(viewer.layers)
    dock.button.click()
    pause(300)
    if dock.running:
        begun = time.perf_counter()
        dock.button.click()
        wait_until(lambda: not dock.running, 60)
        notes.number("cancel until the run has ended", time.perf_counter() - begun, "s", at_most=None if plan.quick else 2.0)
        notes.add("layers added by it", str(len(viewer.layers) - layers), limit="0", passed=len(viewer.layers) == layers)
    else:
        notes.add("cancel", "the run had ended after 0.3 s, before there was anything to cancel")
    viewer.close()
    if plan.cuda:
        notes.number("memory in use after the viewer", in_use() / 2**20, "MiB", at_most=LEFT_BEHIND / 2**20)


def tidy(plan: Plan) -> None:
    """Give memory back, and begin to count anew."""
    import torch

    gc.collect()
    if plan.cuda:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(plan.device)


CHECKS: dict[str, Callable[[Plan, Notes], None]] = {
    check.__name__: check
    for check in (card, agreement, little_memory, speed, speed_large, training, queue, clicks, click_in_viewer)
}


def main(plan: str, *names: str) -> None:
    """Carry out checks one by one; after one that fails the rest is left to another process, as this one may be damaged."""
    from napari_drcr.system.devices import choose_device

    answers, sys.stdout = sys.stdout, sys.stderr
    wanted = json.loads(plan)
    try:
        notes, chosen = Notes(answers), Plan(choose_device(wanted["device"]), wanted["quick"])
    except InputError as unusable:
        sys.exit(str(unusable))
    for name in names:
        notes.event(began=name)
        error = ""
        try:
            CHECKS[name](chosen, notes)
            tidy(chosen)
        except Exception as failure:
            traceback.print_exc()
            error = f"{type(failure).__name__}: {failure}"
        notes.event(ended=name, error=error)
        if error:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
