"""A button that computes picked pixels and regions again in float32, in estimates of a pass that rounds more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_drcr.system.steps import mapped
from napari_drcr.widgets.spectrum.reader import Place
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.controls import StepsBar
from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY, facts_of_layer, model_of_layer
from napari_drcr.widgets.viewer.passes import pass_of_layer

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_drcr.inference.passes import Pass

Box = tuple[int, int, int, int]
"""Top, left, bottom and right in pixels, the last two excluded."""

REFINED = "refined"
"""Entry of ``metadata["napari_drcr"]``: the windows that were computed again; later ones overwrite earlier ones."""
ABOUT = (
    "Computes the picked pixels and the rectangles around regions again in float32, in the estimates that are drawn and were made in "
    "bf16 or fp16. First with that pass's statistics of the whole image, which is at once and not exact; then with those of a float32 "
    "pass, which is exact but for rounding. That pass runs once for each estimate, and is remembered."
)
NO_ESTIMATE = "No estimate is drawn; Refine is for estimates that were made in bf16 or fp16."
NOTHING_PICKED = "Nothing is picked to refine: click a pixel on the canvas, or draw a region."
OUTSIDE = "No pick or region is inside the image; move one over it to refine it."
ALREADY = "What is picked is refined already."
RUNNING = "The float32 pass for exact statistics is running\N{HORIZONTAL ELLIPSIS}"


class Refine(QPushButton):
    """Refines all places in all estimates that are drawn, where there is something to refine; while it does, it cancels.

    The values of the layers are replaced, and their ``metadata["napari_drcr"]["refined"]`` says where and how. `cubes` and
    `places` return the cube layers that are drawn, and where, in their pixels; `failed` and `told` take sentences, as those of
    `Background`.

    Attributes
    ----------
    progress : StepsBar
        Steps done; for the dock to place.
    said : str
        What was last refined, and whether exactly, or why nothing was.
    changed : Signal
        `said` is another.
    """

    changed = Signal()

    def __init__(
        self,
        cubes: Callable[[], Sequence[Image]],
        places: Callable[[], Sequence[Place]],
        failed: Callable[[str], object],
        told: Callable[[str], object],
    ) -> None:
        super().__init__("Refine")
        self._cubes, self._places, self._failed = cubes, places, failed
        self.said = ""
        self._outcomes: dict[str, str] = {}
        self._background = Background(self, self._fail, told, task="Refining", remedy="reconstruct in fp32 instead")
        self._background.finished.connect(self._finish)
        self.progress = StepsBar()
        self.progress.hide()
        self.setToolTip(ABOUT)
        self.clicked.connect(self._toggle)

    @property
    def running(self) -> bool:
        """Whether it refines."""
        return self._background.running

    def run(self) -> None:
        """Refine what is picked; `said` tells where nothing can be."""
        if self.running:
            return
        jobs, why = _plan(self._cubes(), self._places())
        self._outcomes = {}
        self._say("Refining\N{HORIZONTAL ELLIPSIS}" if jobs else why)
        if jobs:
            self.setText("Cancel")
            self.progress.start()
            self._background.run(_refine, jobs, progress=self._take)

    def cancel(self) -> None:
        """Ask the run to stop; what was refined by then stays."""
        if self.running:
            self._background.cancel()
            self.setEnabled(False)

    def clear_message(self) -> None:
        """Forget the outcome of the last run: other things are picked or drawn now."""
        if not self.running:
            self.said = ""

    def detach(self) -> None:
        """Cancel, and write nothing more."""
        self._background.detach()

    def _toggle(self) -> None:
        (self.cancel if self.running else self.run)()

    def _take(self, done: int, total: int, refined: Refined | None) -> None:
        self.progress.take(done, total)
        if refined is not None:
            layer = refined.job.layer
            self._outcomes[layer.name] = _write(refined)
            self._say(" ".join([*self._outcomes.values(), *([] if refined.exact else [RUNNING])]))

    def _finish(self) -> None:
        self.progress.hide()
        self.setText("Refine")
        self.setEnabled(True)
        if self._background.cancelled:
            self._say(" ".join(["Cancelled.", *(self._outcomes.values() or ["Nothing was refined."])]))

    def _fail(self, sentence: str) -> None:
        self._say(sentence)
        self._failed(sentence)

    def _say(self, sentence: str) -> None:
        self.said = sentence
        self.changed.emit()


class Job(NamedTuple):
    """A layer, its pass, and the windows that are to be computed again."""

    layer: Image
    made: Pass
    boxes: list[Box]


class Refined(NamedTuple):
    """The values of a job's windows, and whether the statistics behind them are those of a float32 pass."""

    job: Job
    values: list[npt.NDArray[np.float32]]
    exact: bool


def _plan(cubes: Iterable[Image], places: Sequence[Place]) -> tuple[list[Job], str]:
    """What there is to do, or why there is nothing."""
    estimates = [layer for layer in cubes if model_of_layer(layer) is not None]
    if not estimates:
        return [], NO_ESTIMATE
    passes = [(layer, made) for layer in estimates if (made := pass_of_layer(layer)) is not None]
    if not passes:
        return [], " ".join(map(_why_not, estimates))
    if not places:
        return [], NOTHING_PICKED
    boxes = _outermost(box for place in places if (box := _box(place, passes[0][1].size)) is not None)
    if not boxes:
        return [], OUTSIDE
    jobs = [Job(layer, made, [box for box in boxes if not _is_exact(layer, box)]) for layer, made in passes]
    jobs = [job for job in jobs if job.boxes]
    return jobs, "" if jobs else ALREADY


def _why_not(layer: Image) -> str:
    facts = facts_of_layer(layer)
    if facts.get("precision") == "fp32":
        return f"{layer.name!r} is in fp32 already: there is nothing to refine."
    if facts.get("ensemble"):
        return f"{layer.name!r} averages flips and turns, which cannot be refined in parts: reconstruct it in fp32 instead."
    return f"{layer.name!r} no longer has the pass that its values came from: reconstruct it again to refine it."


def _box(place: Place, size: tuple[int, int]) -> Box | None:
    """The rectangle around a place, clipped to the image."""
    corners = np.array([(place.y, place.x)]) if place.corners is None else place.corners
    top, left = np.clip(np.ceil(corners.min(axis=0)), 0, size).astype(int).tolist()
    bottom, right = np.clip(np.floor(corners.max(axis=0)) + 1, 0, size).astype(int).tolist()
    return (top, left, bottom, right) if top < bottom and left < right else None


def _outermost(boxes: Iterable[Box]) -> list[Box]:
    each = list(dict.fromkeys(boxes))
    return [box for box in each if not any(_inside(box, other) for other in each if other != box)]


def _inside(box: Sequence[int], other: Sequence[int]) -> bool:
    return other[0] <= box[0] and other[1] <= box[1] and box[2] <= other[2] and box[3] <= other[3]


def _is_exact(layer: Image, box: Box) -> bool:
    refined = facts_of_layer(layer).get(REFINED, ())
    return any(entry["statistics"] == "fp32" and _inside(box, entry["box"]) for entry in refined)


def _refine(jobs: Sequence[Job]) -> Generator[tuple[int, int, Refined | None], None, None]:
    """Work in a thread: where the exact statistics are not known yet, first with those of the pass itself."""
    for exact in (False, True):
        for job in jobs:
            if exact or not job.made.knows_exact_statistics:
                yield from _refine_layer(job, exact)


def _refine_layer(job: Job, exact: bool) -> Generator[tuple[int, int, Refined | None], None, None]:
    values, total = [], len(job.boxes)
    for done, box in enumerate(job.boxes, start=1):

        def overall(step: tuple[int, int], done: int = done) -> tuple[int, int, None]:
            # A box of one step is itself one of several; others, and the extra pass, have steps of their own.
            return (*step, None) if step[1] > 1 else (done, total, None)

        values.append((yield from mapped(job.made.refine(box, exact=exact), overall)))
    yield total, total, Refined(job, values, exact)


def _write(refined: Refined) -> str:
    """Put values into their layer, unless it was given others meanwhile; tells what they are."""
    (layer, made, boxes), values, exact = refined
    if pass_of_layer(layer) is not made:
        return _why_not(layer)
    for (top, left, bottom, right), part in zip(boxes, values, strict=True):
        layer.data[:, top:bottom, left:right] = part
    facts = facts_of_layer(layer)
    kept = [entry for entry in facts.get(REFINED, ()) if not any(_inside(entry["box"], box) for box in boxes)]
    statistics = "fp32" if exact else made.precision
    now = [*kept, *({"box": list(box), "precision": "fp32", "statistics": statistics} for box in boxes)]
    layer.metadata = {**layer.metadata, PROVENANCE_KEY: {**facts, REFINED: now}}
    # The same array: setting it emits the event of new data.
    layer.data = layer.data
    how = "a float32 pass, exact but for rounding" if exact else f"the {statistics} pass, not exact"
    return f"{layer.name!r} is refined: float32 with the image statistics of {how}."
