"""Processes that share files: started by --devices and by torchrun."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.system.sharing import ALONE, Share, join, quiet_lightning

COMMAND = (sys.executable, "-m", "napari_drcr")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "napari_drcr")


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Run a command to its end; what it printed on stdout and on stderr."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pairs, the images without what the cubes show."""
    for folder in ("rgb", "truth"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        nd.write_cube(tmp_path / "truth" / f"{number}.mat", synthetic_scene(32, 40, seed=number))
        pixels = np.random.default_rng(number).integers(20, 200, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "rgb" / f"{number}.png")
    return tmp_path / "rgb", tmp_path / "truth"


def test_two_processes_write_the_cubes_of_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images = sorted(folders[0].iterdir())
    (folders[0] / "broken.png").write_bytes(images[0].read_bytes()[:300])
    images.insert(1, folders[0] / "broken.png")
    out, err = run(*COMMAND, "reconstruct", *images, "-o", tmp_path / "out", "-m", "linear", "--devices", "2", code=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.mat", "1.mat", "2.mat"]
    assert all(out.count(f"{number}.mat") == 1 for number in range(3))
    assert "Traceback" not in err
    assert err.count("broken.png: the file is damaged") == 1
    assert err.count("Error: 1 of 4 files failed:") == 1
    for image in images[::2]:
        np.testing.assert_array_equal(nd.read_cube(tmp_path / "out" / f"{image.stem}.mat"), nd.reconstruct(image, "linear"))


def test_under_torchrun_one_table_has_all_scenes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "1.png").write_bytes((folders[0] / "1.png").read_bytes()[:300])
    evaluate = ("evaluate", "--rgb", folders[0], "--truth", folders[1], "-m", "linear", "--csv", tmp_path / "scores.csv")
    out, err = run(*TORCHRUN, *evaluate)
    assert out.count("protocol full") == out.count("mean") == 1
    assert err.count("Skipped 1:") == 1
    rows = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    nd.evaluate(*folders, "linear").write_csv(tmp_path / "alone.csv")
    assert rows == (tmp_path / "alone.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows[3:]] == ["0", "2", "mean"]


def test_parts_are_put_together_in_order() -> None:
    assert [list(Share(rank, 3).part(range(7))) for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert ALONE.gather(ALONE.part([5, 6])) == [5, 6]


def test_no_more_processes_are_started_than_there_are_files() -> None:
    assert join(3, "cpu", files=1) == Share(device="cpu")
    assert join(None, "auto", files=9) == Share()


def test_what_cannot_be_shared_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(nd.InputError, match="must be at least 1, not 0"):
        join(0, "cpu", files=3)
    with pytest.raises(nd.InputError, match="'cuda:1', but several are taken from the first on; choose device cuda"):
        join(2, "cuda:1", files=3)
    if not torch.backends.mps.is_available():
        monkeypatch.setattr("napari_drcr.system.sharing.choose_device", lambda device: device)
    with pytest.raises(nd.InputError, match="GPUs of NVIDIA or AMD, or processes on the CPU"):
        join(2, "mps", files=3)
    with pytest.raises(nd.InputError, match=r"the number of devices is 99, but there (is|are) \d+ GPUs? here"):
        join(99, "cuda", files=3)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(nd.InputError, match="torchrun has started 4 processes, but the number of devices is 2"):
        join(2, "cpu", files=3)


class Listener(logging.Handler):
    """Keeps the messages that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def listener() -> Iterator[Listener]:
    import lightning.pytorch  # its loggers take their level  # noqa: F401

    logger = logging.getLogger("lightning.pytorch")
    logger.addHandler(listener := Listener())
    yield listener
    logger.removeHandler(listener)


def test_lightning_is_quiet_in_its_context_and_heard_elsewhere(listener: Listener) -> None:
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with ThreadPoolExecutor(1) as other, quiet_lightning():
        log.info("a tip")
        log.warning("a warning")
        other.submit(log.info, "in another thread").result()
    log.info("afterwards")
    assert listener.messages == ["a warning", "in another thread", "afterwards"]


def test_quiet_contexts_that_overlap_leave_loggers_and_filters_of_others_alone(listener: Listener) -> None:
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")]
    first, second = quiet_lightning(), quiet_lightning()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        one.submit(first.__enter__).result()
        two.submit(second.__enter__).result()
        warnings.filterwarnings("ignore", "set by another thread")
        between = list(warnings.filters)
        one.submit(first.__exit__, None, None, None).result()
        one.submit(log.info, "the first is loud again").result()
        two.submit(log.info, "the second is not").result()
        two.submit(second.__exit__, None, None, None).result()
    assert listener.messages == ["the first is loud again"]
    assert [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")] == levels
    assert list(warnings.filters) == between


def test_quiet_covers_only_what_lightning_itself_warns_of() -> None:
    from lightning.fabric.utilities.rank_zero import rank_zero_warn
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    with quiet_lightning():
        rank_zero_warn("the loader has few workers", category=PossibleUserWarning)
        with pytest.warns(UserWarning, match="weights"):
            rank_zero_warn("the checkpoint has other weights")
        with pytest.warns(DeprecationWarning, match="old"):
            warnings.warn("an old function", DeprecationWarning, stacklevel=1)
