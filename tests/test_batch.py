"""Files that overlap: read ahead, computed, written behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import napari_drcr as nd
from napari_drcr.analysis.evaluation import evaluate
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.system.batch import overlapped

WAIT = 20


def same(item: int, *_: object) -> int:
    return item


def test_the_next_is_read_and_the_one_before_written_while_one_is_computed() -> None:
    """Each step waits for the other two: one after the other they would wait in vain."""
    read, computing = [threading.Event() for _ in range(4)], [threading.Event() for _ in range(4)]

    def compute(item: int, _: int) -> int:
        computing[item].set()
        return item if item == 3 or read[item + 1].wait(WAIT) else -1

    def write(item: int, made: int) -> int:
        return made if item == 3 or computing[item + 1].wait(WAIT) else -1

    assert list(overlapped(range(4), lambda item: read[item].set() or item, compute, write)) == [0, 1, 2, 3]


def test_no_more_than_one_waits_on_either_side() -> None:
    """However slow computing or writing is, reading is one item ahead, and computing one ahead of writing."""
    log: list[tuple[str, int]] = []

    def note(what: str, item: int) -> int:
        log.append((what, item))
        return item

    def write(item: int, _: int) -> int:
        if item == 0:
            written.wait(0.5)
        return note("write", item)

    written = threading.Event()
    steps = overlapped(range(6), lambda item: note("read", item), lambda item, _: note("compute", item), write)
    assert list(steps) == list(range(6))
    place = {step: number for number, step in enumerate(log)}
    for item in range(4):
        assert place["compute", item] < place["read", item + 2]
        assert place["write", item] < place["compute", item + 2]


@pytest.mark.parametrize("step", ["read", "compute", "write"])
@pytest.mark.parametrize("error", [nd.InputError("bad"), OSError("gone"), MemoryError()])
def test_what_fails_does_not_stop_the_others(step: str, error: Exception) -> None:
    def fail(item: int, *_: object) -> int:
        if item in (1, 3):
            raise error
        return item

    steps = {name: fail if name == step else same for name in ("read", "compute", "write")}
    done = list(overlapped(range(4), **steps))
    assert [type(error) if item in (1, 3) else item for item in range(4)] == [
        type(one) if isinstance(one, Exception) else one for one in done
    ]


@pytest.mark.parametrize("step", ["read", "compute", "write"])
@pytest.mark.parametrize("error", [nd.Cancelled, KeyboardInterrupt, ZeroDivisionError])
def test_anything_else_ends_the_work(step: str, error: type[BaseException]) -> None:
    begun = []

    def fail(item: int, *_: object) -> int:
        begun.append(item)
        if item == 1:
            raise error
        return item

    steps = {name: fail if name == step else same for name in ("read", "compute", "write")}
    with pytest.raises(error):
        list(overlapped(range(20), **steps))
    assert max(begun) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read_", "write_"))]


def test_a_caller_who_stops_has_whole_files_and_no_more(tmp_path: Path) -> None:
    def write(item: int, made: int) -> int:
        nd.write_cube(tmp_path / f"{item}.mat", synthetic_scene(16, 16, seed=made))
        return item

    steps: Iterator[object] = overlapped(range(20), same, same, write)
    assert next(steps) == 0
    steps.close()  # type: ignore[attr-defined]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0.mat", "1.mat"][: len(names)]
    assert all(nd.read_cube(path).shape == (31, 16, 16) for path in tmp_path.iterdir())


def test_nothing_is_no_trouble() -> None:
    assert list(overlapped([], same, same, same)) == []


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pairs; every image has an alpha channel, which is told, and some pixels of every truth are 0, which MRAE tells."""
    for folder in ("rgb", "truth"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        scene = synthetic_scene(32, 40, seed=number)
        scene[:, :2] = 0
        nd.write_cube(tmp_path / "truth" / f"{number}.mat", scene)
        pixels = np.random.default_rng(number).integers(20, 200, (32, 40, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "rgb" / f"{number}.png")
    return tmp_path / "rgb", tmp_path / "truth"


def test_notices_of_all_threads_are_heard(folders: tuple[Path, Path], recwarn: pytest.WarningsRecorder) -> None:
    import warnings

    warnings.simplefilter("always", nd.Notice)
    evaluate(*folders, "linear", floor=0)
    said = [str(notice.message) for notice in recwarn if notice.category is nd.Notice]
    assert [sum(f"{number}.png: its alpha" in words for words in said) for number in range(3)] == [1, 1, 1]
    assert sum("MRAE without a floor leaves out" in words for words in said) == 3


@pytest.mark.filterwarnings("ignore:.*alpha")
def test_progress_can_end_an_evaluation(folders: tuple[Path, Path]) -> None:
    def stop(done: int, total: int) -> None:
        assert (done, total) == (1, 3)
        raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        evaluate(*folders, "linear", progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read_", "write_"))]
