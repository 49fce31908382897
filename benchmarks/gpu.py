"""Every check for a GPU in one command: ten minutes at most, and a report in Markdown.

    python benchmarks/gpu.py                       # the best device there is; the report is gpu-report.md
    python benchmarks/gpu.py --device cuda:1 --output report.md
    python benchmarks/gpu.py --device cpu --quick  # do the checks themselves work? Tiny sizes, no times judged

The checks are in benchmarks/gpu_checks.py and run in a process of their own. Where one fails, hangs or takes the process down, its section
says so, and the others go on in a new one. The exit code is 1 if a check failed, else 0. Caches and runs are kept in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

START = 60
"""Seconds within which the process of the checks must be ready."""
CHECKS = Path(__file__).with_name("gpu_checks.py")
SECTIONS = {
    "card": ("The card", 60),
    "agreement": ("fp32, bf16, fp16 against the CPU", 60),
    "little_memory": ("Little memory", 60),
    "speed": ("Speed at 482 x 512", 100),
    "speed_large": ("Speed at 12 megapixels", 130),
    "training": ("Training", 80),
    "queue": ("Two runs on one card", 60),
    "clicks": ("In napari", 50),
}
"""Title, and seconds within which it must end: ten minutes in all."""


class NotStarted(Exception):
    """The process of the checks cannot begin; says why in a sentence."""


@dataclass
class Outcome:
    """What came of a section.

    Attributes
    ----------
    findings : list of dict
        ``what``, ``measured``, ``limit``, and ``passed``, which is None where nothing is judged.
    error : str
        Why it did not come to its end; empty where it did.
    seconds : float
        That it took.
    """

    findings: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """In a word or two."""
        judged = [finding["passed"] for finding in self.findings if finding["passed"] is not None]
        if self.error or not all(judged):
            return "**failed**"
        if any(finding["what"] == "left out" for finding in self.findings):
            return "left out"
        return "passed" if judged else "measured"


class Child:
    """A process that carries out checks; a context manager that ends it, and all that it has started.

    Parameters
    ----------
    names : list of str
        The checks.
    plan : dict
        See `gpu_checks.Plan`.
    said : Path
        A file for what it says beside its findings.
    environment : dict
        Of the process.
    """

    def __init__(self, names: list[str], plan: dict[str, Any], said: Path, environment: dict[str, str]) -> None:
        self._said = said
        with said.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(CHECKS), json.dumps(plan), *names],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(psutil.NoSuchProcess):
            for process in reversed([*psutil.Process(self._process.pid).children(recursive=True)]):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.kill()
        self._process.wait()

    def events(self, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
        """What it tells; the last event of each check has ``ended`` and ``error``, also where it did not get as far itself.

        Raises `NotStarted` if there is nothing.
        """
        name, begun, end = "", False, time.monotonic() + START
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                if not begun:
                    raise NotStarted(f"the checks did not start within {START} seconds") from None
                yield {"ended": name, "error": "it did not end in time"}
                return
            if not line:
                if not begun:
                    raise NotStarted(self._recorded_end())
                if name:
                    code = self._process.wait()
                    yield {"ended": name, "error": f"the process ended with code {code}: {self._recorded_end()}"}
                return
            event = json.loads(line)
            if "began" in event:
                name, begun, end = event["began"], True, time.monotonic() + limits[event["began"]]
            elif "ended" in event:
                name = ""
            yield event

    def _recorded_end(self) -> str:
        lines = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def carry_out(limits: dict[str, float], plan: dict[str, Any], folder: Path) -> dict[str, Outcome]:
    """Carry out checks, in a new process after each that did not come to its end.

    Parameters
    ----------
    limits : dict of str to float
        Seconds for each check, in their order.
    plan : dict
        See `gpu_checks.Plan`.
    folder : Path
        For caches, runs, and what the processes say.

    Returns
    -------
    dict of str to Outcome

    Raises
    ------
    NotStarted
        If the device is none, or the package does not work here.
    """
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}
    outcomes: dict[str, Outcome] = {}
    while waiting := [name for name in limits if name not in outcomes]:
        begun, outcome = time.monotonic(), Outcome()
        with Child(waiting, plan, folder / "said.txt", environment) as child:
            for event in child.events(limits):
                if "began" in event:
                    print(f"{event['began']} ...", file=sys.stderr, flush=True)
                    begun, outcome = time.monotonic(), Outcome()
                elif "ended" in event:
                    outcome.error, outcome.seconds = event["error"], time.monotonic() - begun
                    outcomes[event["ended"]] = outcome
                else:
                    outcome.findings.append(event)
    return outcomes


def write_report(outcomes: dict[str, Outcome], command: str) -> str:
    """The report.

    Parameters
    ----------
    outcomes : dict of str to Outcome
        By the names of `SECTIONS`.
    command : str
        That made it.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        "# Checks on a GPU",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        "| section | | s |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {SECTIONS[name][0]} | {found.verdict} | {found.seconds:.0f} |" for name, found in outcomes.items()]
    for name, found in outcomes.items():
        lines += ["", f"## {SECTIONS[name][0]}", ""]
        if found.error:
            lines += [f"**Failed:** {_cell(found.error)}", ""]
        lines += ["| | measured | limit | |", "| --- | --- | --- | --- |"] if found.findings else []
        for finding in found.findings:
            judged = {None: "", True: "passed", False: "**failed**"}[finding["passed"]]
            lines.append(
                f"| {' | '.join(_cell(text) for text in (finding['what'], finding['measured'], finding['limit'], judged))} |"
            )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Check, write the report, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="such as cuda:1; the best by default")
    parser.add_argument("--output", type=Path, default=Path("gpu-report.md"), help="the report")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no times judged")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        limits = {section: float(seconds) for section, (_, seconds) in SECTIONS.items()}
        try:
            outcomes = carry_out(limits, {"device": arguments.device, "quick": arguments.quick}, Path(name))
        except NotStarted as why:
            print(why, file=sys.stderr)
            return 2
    command = f"python benchmarks/gpu.py --device {arguments.device}{' --quick' if arguments.quick else ''}"
    arguments.output.write_text(write_report(outcomes, command), encoding="utf-8")
    failed = [SECTIONS[name][0] for name, found in outcomes.items() if found.verdict == "**failed**"]
    print(f"{arguments.output}: {'failed: ' + ', '.join(failed) if failed else 'nothing failed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
