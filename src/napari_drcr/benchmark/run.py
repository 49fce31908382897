"""A benchmark from start to end: every way to run the network, in turn, round after round."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from napari_drcr.benchmark.child import Way
from napari_drcr.benchmark.processes import Failed, Measured, start_up
from napari_drcr.benchmark.report import Deviation, Report, Row
from napari_drcr.benchmark.subject import find_network, make_image
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.errors import InputError, ignore_notice, notices_to
from napari_drcr.inference.pixels import SMALLEST_SIDE
from napari_drcr.inference.preparation import prepare_rgb
from napari_drcr.system.devices import choose_device, devices, precisions, processor_name

WARM_UP_BELOW = 5.0
"""Seconds of a pass below which each way has a warm-up pass; above, the set-up hardly matters."""
ENOUGH = 20.0
"""Longest pass, in seconds, with which settings are tried."""
SIDES = (0.5, 0.7, 1.5)
"""Sides of pieces to try, relative to the automatic one."""

Progress = Callable[[int, int, str], object]


def run(
    model: str,
    *,
    device: str = "auto",
    size: tuple[int, int] = (482, 512),
    rounds: int = 3,
    settings: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Measure every way to run a network, side by side.

    Parameters
    ----------
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    device : str
        See `napari_drcr.system.devices.choose_device`.
    size : tuple of int
        Height and width of the image in pixels.
    rounds : int
        Timed passes of each way.
    settings : bool
        Also try pieces and numbers of threads, refine a pixel, time a fresh start, and measure the CPU as well as a GPU.
    progress : callable, optional
        Called with (steps done, steps in all, next step). What it raises ends all processes.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If there is no such model or device, the model is a per-pixel map, or no way could be measured.
    """
    if rounds < 1:
        raise InputError(f"a benchmark takes at least one round, not {rounds}.")
    found = find_network(model)
    device = choose_device(device)
    from napari_drcr.inference.passes import execution_of
    from napari_drcr.models.cost import gmac
    from napari_drcr.models.memory import peak_memory

    with tempfile.TemporaryDirectory(prefix="napari-drcr-") as name, ExitStack() as stack:
        folder = Path(name)
        np.save(folder / "image.npy", _prepare(found, size))
        np.save(folder / "sample.npy", synthetic_pair()[0])
        architecture = found.architecture
        whole = peak_memory(found.estimator, *(length + -length % architecture.multiple for length in size))
        multiply_adds = round(1e9 * gmac(architecture, found.settings, found.bands, *size))
        bench = _Bench(model, folder, multiply_adds, progress)
        bench.start(_ways(device, execution_of(found, "cpu", "fp32").title, beside=settings), whole, stack)
        bench.go_round(rounds)
        bench.measure_rates()
        fastest = bench.fastest(device)
        chosen = fastest if settings else None
        tiles = bench.try_settings(chosen, "tile", bench.sides(chosen, size), rounds)
        threads = bench.try_settings(chosen, "threads", bench.thread_numbers(chosen), rounds)
        refining = bench.refine(chosen)
        reference = bench.compare(device)
        started = bench.start_up(device, rounds if settings else 0)
        return Report(
            model=found.name,
            trained=found.path is not None,
            sizes=found.settings.summary(),
            size=size,
            device=device,
            device_name=devices()[device],
            processor=processor_name(),
            threads=bench.threads,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={package: version(package) for package in ("napari-drcr", "torch")},
            rounds=rounds,
            warmed_up=bench.warms_up,
            multiply_adds=bench.multiply_adds,
            rates=bench.rates,
            rows=bench.rows(),
            reference=reference,
            tile=bench.tile(fastest),
            tiles=tiles,
            thread_times=threads,
            chosen=fastest.way.precision if fastest else None,
            refining=refining,
            start_up=started,
        )


def _prepare(model: Any, size: tuple[int, int]) -> Any:
    with notices_to(ignore_notice):
        return prepare_rgb(make_image(*size), model).values


def _ways(device: str, own: str, *, beside: bool) -> list[Way]:
    ways = [Way("plain", device, "fp32", "plain"), Way("fair", device, "fp32", "fair")]
    ways += [Way("own", device, precision, f"{own} {precision}") for precision in precisions(device)]
    if beside and device != "cpu":
        (fastest, *_) = precisions("cpu")
        ways.append(Way("own", "cpu", fastest, f"{own} {fastest}, CPU"))
    return ways


class _Entry:
    """A way, its process, and its results so far."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.process: Measured | None = None
        self.seconds: list[float] = []
        self.memory: int | None = None
        self.tile: int | None = None
        self.cube: Path | None = None
        self.deviation: Deviation | None = None
        self.left_out = ""

    def leave_out(self, reason: str) -> None:
        self.left_out = reason
        self.seconds.clear()
        if self.process is not None:
            self.process.end()
        self.process = None

    def ask(self, order: str, **values: Any) -> dict[str, Any]:
        """The answer of the process; if it fails, an empty one, and the way is left out."""
        if self.process is None:
            return {}
        try:
            return self.process.ask(order, **values)
        except Failed as reason:
            self.leave_out(str(reason))
            return {}


class _Bench:
    """The processes, and the order of their measurements."""

    def __init__(self, model: str, folder: Path, multiply_adds: int, progress: Progress | None) -> None:
        self._model, self._folder, self._progress = model, folder, progress
        self.multiply_adds = multiply_adds
        self.rates: dict[str, float] = {}
        self.threads = 1
        self.warms_up = False
        self._entries: list[_Entry] = []
        self._done = self._total = 0

    def start(self, ways: Iterable[Way], whole: int, stack: ExitStack) -> None:
        """Start the processes, and leave out what will not fit or take too long.

        `whole` is what a pass over the whole image takes, in bytes.
        """
        self._entries = [_Entry(way) for way in ways]
        self._plan(len(self._entries))
        for number, entry in enumerate(self._entries):
            entry.process = stack.enter_context(
                Measured(entry.way, self._model, self._folder / "image.npy", self._folder / f"{number}.txt")
            )
        for entry in self._entries:
            self._step(f"starting {entry.way.title}")
            assert entry.process is not None
            try:
                state = entry.process.start()
            except Failed as reason:
                entry.leave_out(str(reason))
                continue
            self.threads = state["threads"]
            if entry.way.how != "own" and state["free"] is not None and whole > state["free"]:
                entry.leave_out(f"left out, it needs about {whole / 1e9:.1f} GB and {state['free'] / 1e9:.1f} GB are free")
        self.measure_rates()
        for entry in self._entries:
            # With a GPU, the CPU is only a comparison and not worth a long wait.
            seconds = self._floor(entry.way) or 0
            if entry.way.device == "cpu" and self._entries[0].way.device != "cpu" and seconds > ENOUGH:
                entry.leave_out(f"left out, it takes at least {seconds:.0f} s")

    def measure_rates(self) -> None:
        """The rate of a convolution in each precision, unless it was better before."""
        own = [entry for entry in self._entries if entry.way.how == "own"]
        self._plan(len(own))
        for entry in own:
            self._step("measuring convolutions")
            place = _place(entry.way)
            if rate := entry.ask("rate").get("rate"):
                self.rates[place] = max(rate, self.rates.get(place, 0.0))

    def go_round(self, rounds: int) -> None:
        """The passes. The first one of the first way decides whether each has one that does not count."""
        passes = 0
        self._plan(len(self._entries) * rounds)
        for number in count():
            for position, entry in enumerate(self._entries):
                self._step(f"pass {number + 1}: {entry.way.title}")
                file = str(self._folder / f"cube-{position}.npy") if number == 0 else None
                if not (answer := entry.ask("once", file=file)):
                    continue
                if number == 0:
                    entry.memory, entry.tile, entry.cube = answer["memory"], answer["tile"], Path(str(file))
                    if not passes:
                        self.warms_up = answer["seconds"] < WARM_UP_BELOW
                        passes = rounds + self.warms_up
                        self._plan(len(self._entries) * self.warms_up)
                entry.seconds.append(answer["seconds"])
            if number + 1 >= passes:
                break
        for entry in self._entries:
            if self.warms_up:
                del entry.seconds[:1]
        if not any(entry.seconds for entry in self._entries):
            reasons = "; ".join(f"{entry.way.title} {entry.left_out}" for entry in self._entries)
            raise InputError(f"no way to run the network could be measured here: {reasons.removesuffix('.')}.")

    def fastest(self, device: str) -> _Entry | None:
        """Of the precisions of the device."""
        own = [entry for entry in self._entries if entry.seconds and (entry.way.how, entry.way.device) == ("own", device)]
        return min(own, key=lambda entry: median(entry.seconds), default=None)

    def sides(self, chosen: _Entry | None, size: tuple[int, int]) -> list[int]:
        """Sides of pieces to try, the automatic one first; those that make no difference are left out."""
        if chosen is None or chosen.tile is None or median(chosen.seconds) > ENOUGH:
            return []
        pixels = size[0] * size[1]
        sides = [chosen.tile, *(max(round(chosen.tile * factor), SMALLEST_SIDE) for factor in SIDES)]
        return list(dict.fromkeys(side for side in sides if min(side, chosen.tile) ** 2 < pixels))

    def thread_numbers(self, chosen: _Entry | None) -> list[int]:
        """Numbers of threads to try, all of them first."""
        if chosen is None or chosen.way.device != "cpu":
            return []
        numbers = dict.fromkeys((self.threads, self.threads // 2, 1))
        return [n for n in numbers if n and median(chosen.seconds) * self.threads / n <= 2 * ENOUGH]

    def try_settings(self, chosen: _Entry | None, name: str, settings: list[int], rounds: int) -> dict[int, float]:
        """Median of seconds for each setting, in turn."""
        if chosen is None or len(settings) < 2:
            return {}
        times: dict[int, list[float]] = {setting: [] for setting in settings}
        rounds = rounds if median(chosen.seconds) < WARM_UP_BELOW else 1
        self._plan(len(settings) * rounds)
        for _ in range(rounds):
            for setting, seconds in times.items():
                self._step(f"{name} {setting}")
                if chosen.process is not None:
                    try:
                        seconds.append(chosen.process.ask("once", **{name: setting})["seconds"])
                    except Failed:  # such as a piece that is too large; earlier results remain valid
                        continue
        return {setting: median(seconds) for setting, seconds in times.items() if seconds}

    def refine(self, chosen: _Entry | None) -> dict[str, float]:
        """Seconds for a pixel, after a pass."""
        if chosen is None:
            return {}
        orders = {"at once": False}
        if chosen.way.precision != "fp32":
            orders |= {"exact": True, "exact again": True}
        self._plan(len(orders))
        times = {}
        for name, exact in orders.items():
            self._step("refining a pixel")
            if chosen.process is not None and (answer := chosen.ask("refine", exact=exact)):
                times[name] = answer["seconds"]
        return times

    def compare(self, device: str) -> str | None:
        """Deviations of all cubes from that of the plain path, or else of the next one in fp32 on the device; its title."""
        cubes = [entry for entry in self._entries if entry.seconds and entry.cube]
        of_device = [entry for entry in cubes if (entry.way.device, entry.way.precision) == (device, "fp32")]
        if not of_device:
            return None
        reference, *_ = of_device
        self._plan(len(cubes))
        for entry in cubes:
            self._step("comparing")
            if entry is not reference:
                entry.deviation = Deviation.between(*(np.load(str(one.cube), mmap_mode="r") for one in (entry, reference)))
        return reference.way.title

    def start_up(self, device: str, rounds: int) -> dict[str, float]:
        """Median times of a fresh start."""
        found: list[dict[str, float]] = []
        self._plan(rounds)
        for number in range(rounds):
            self._step("fresh start")
            try:
                found.append(start_up(self._model, self._folder / "sample.npy", device, self._folder / f"start-{number}.txt"))
            except Failed:
                break
        return {name: median(one[name] for one in found) for name in found[0]} if found else {}

    def tile(self, chosen: _Entry | None) -> int | None:
        """Automatic side of the pieces."""
        return chosen.tile if chosen else None

    def rows(self) -> tuple[Row, ...]:
        """The results."""
        return tuple(
            Row(
                way=entry.way,
                seconds=tuple(entry.seconds),
                memory=entry.memory,
                floor=self._floor(entry.way),
                deviation=entry.deviation,
                left_out=entry.left_out,
            )
            for entry in self._entries
        )

    def _floor(self, way: Way) -> float | None:
        rate = self.rates.get(_place(way))
        return self.multiply_adds / rate if rate else None

    def _plan(self, steps: int) -> None:
        self._total += steps

    def _step(self, text: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, text)
        self._done += 1


def _place(way: Way) -> str:
    return f"{way.device} {way.precision}"
