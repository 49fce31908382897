"""The parent's side of the measured processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_drcr.benchmark.child import NO_MEMORY, Way

KILLED = (-9, 137)
"""Exit codes of a process that the system killed because memory ran out."""


class Failed(Exception):
    """A process failed; the reason as the end of a sentence."""


class Measured:
    """A process that runs the network in one way, on request; a context manager that ends it.

    Parameters
    ----------
    way : Way
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    image : Path
        See `napari_drcr.benchmark.child.Child`.
    log : Path
        A file for its stderr.
    """

    def __init__(self, way: Way, model: str, image: Path, log: Path) -> None:
        self.way = way
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_drcr.benchmark.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._send("start", model=model, image=str(image), way=asdict(way))

    def __enter__(self) -> Measured:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def start(self) -> dict[str, Any]:
        """Wait until the network is loaded.

        Returns
        -------
        dict
            See `napari_drcr.benchmark.child.Child.start`.

        Raises
        ------
        Failed
            If it cannot be loaded, or the process has ended.
        """
        return self._receive()

    def ask(self, order: str, **values: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer.

        Parameters
        ----------
        order : str
            A method of `napari_drcr.benchmark.child.Child`.
        **values
            Arguments of the command.

        Returns
        -------
        dict
            Its answer.

        Raises
        ------
        Failed
            If the command failed, or the process has ended.
        """
        self._send(order, **values)
        return self._receive()

    def _send(self, order: str, **values: Any) -> None:
        assert self._process.stdin is not None
        # A process that has ended is noticed when its answer is read.
        with suppress(OSError):
            self._process.stdin.write(json.dumps({"order": order, **values}) + "\n")
            self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(_reason(self._process.wait(), self._log))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a command that it no longer read
                    pipe.close()


def start_up(model: str, image: Path, device: str, log: Path) -> dict[str, float]:
    """A fresh interpreter that estimates one image and ends.

    Parameters
    ----------
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    image : Path
        ``.npy`` file of an sRGB image, uint8.
    device : str
        Where to compute.
    log : Path
        A file for its stderr.

    Returns
    -------
    dict of str to float
        Seconds: "importing", "loading" the model, the "first" estimate, and "all" from the start of the process to its end.

    Raises
    ------
    Failed
        If the process failed.
    """
    begun = time.perf_counter()
    with log.open("wb") as errors:
        command = [sys.executable, "-m", "napari_drcr.benchmark.start_up", model, str(image), device]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            text, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise Failed(_reason(process.returncode, log))
    return {**json.loads(text), "all": time.perf_counter() - begun}


def _reason(code: int, log: Path) -> str:
    if code in KILLED:
        return f"was killed by the system; most likely it {NO_MEMORY}"
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f"ended with code {code}: {text.splitlines()[-1] if text else 'it printed nothing'}"
