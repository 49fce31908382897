"""The processes that are measured, seen from the one that measures."""

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
"""What a process ends with that the system ended because memory ran out."""


class Failed(Exception):
    """A process could not do what it was told; says why in a sentence that begins small."""


class Measured:
    """A process that runs the network in one way, whenever it is told; a context manager that ends it.

    Parameters
    ----------
    way : Way
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    image : Path
        See `napari_drcr.benchmark.child.Child`.
    said : Path
        A file for what it says beside its answers.
    """

    def __init__(self, way: Way, model: str, image: Path, said: Path) -> None:
        self.way = way
        self._said = said
        with said.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_drcr.benchmark.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._tell("start", model=model, image=str(image), way=asdict(way))

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
            If it cannot be loaded, or the process has come to an end.
        """
        return self._hear()

    def ask(self, order: str, **values: Any) -> dict[str, Any]:
        """Have something done, and wait for it.

        Parameters
        ----------
        order : str
            A method of `napari_drcr.benchmark.child.Child`.
        **values
            What it takes.

        Returns
        -------
        dict
            Its answer.

        Raises
        ------
        Failed
            If it cannot, or has come to an end.
        """
        self._tell(order, **values)
        return self._hear()

    def _tell(self, order: str, **values: Any) -> None:
        assert self._process.stdin is not None
        # Whether it is still there shows in what it answers.
        with suppress(OSError):
            self._process.stdin.write(json.dumps({"order": order, **values}) + "\n")
            self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(_why(self._process.wait(), self._said))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # an order that it did not take any more
                    pipe.close()


def start_up(model: str, image: Path, device: str, said: Path) -> dict[str, float]:
    """A fresh interpreter that estimates one image and ends.

    Parameters
    ----------
    model : str
        See `napari_drcr.benchmark.subject.find_network`.
    image : Path
        ``.npy`` file of an sRGB image, uint8.
    device : str
        Where to.
    said : Path
        A file for what it says.

    Returns
    -------
    dict of str to float
        Seconds: "importing", "loading" the model, the "first" estimate, and "all" from the start of the process to its end.

    Raises
    ------
    Failed
        If it cannot.
    """
    begun = time.perf_counter()
    with said.open("wb") as errors:
        command = [sys.executable, "-m", "napari_drcr.benchmark.start_up", model, str(image), device]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            text, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise Failed(_why(process.returncode, said))
    return {**json.loads(text), "all": time.perf_counter() - begun}


def _why(code: int, said: Path) -> str:
    if code in KILLED:
        return f"was ended by the system; most likely it {NO_MEMORY}"
    text = said.read_text(encoding="utf-8", errors="replace").strip()
    return f"ended with code {code}: {text.splitlines()[-1] if text else 'it said nothing'}"
