"""What keeps a GPU busy while it trains, as far as it can be seen without one."""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import napari_drcr as nd
from napari_drcr.system.pickles import load_plain
from napari_drcr.training.callbacks import recorder
from napari_drcr.training.config import make_config
from napari_drcr.training.data import loading, workers_for
from napari_drcr.training.digests import Digests
from napari_drcr.training.jobs.folder import CHECKPOINT, read_status
from napari_drcr.training.jobs.records import read_losses
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.scenes import cache_scenes
from napari_drcr.training.sections import TrainingConfig

pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]
READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default, torch.ops.aten.nonzero.default}
"""For these the host needs values, and waits for the device."""


class Reads(TorchDispatchMode):
    """Notes who reads values of tensors; but for Adam's step numbers, which are on the host whatever the device is."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READS:
            self.note()
        return func(*args, **(kwargs or {}))

    def note(self) -> None:
        stack = traceback.extract_stack()
        if not any("adam" in Path(frame.filename).name for frame in stack):
            self.found.append("".join(traceback.format_list(stack[-6:-1])))


def test_a_step_waits_for_nothing(config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "INTERVAL", 1000.0)
    config = make_config(config.model_dump(), learning__steps=12, learning__validate_every=12)
    found: dict[int, list[str]] = {}
    reads, to_list = Reads(), torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda values: (reads.note(), to_list(values))[1])

    def look(step: int, *_: object) -> None:
        found[step], reads.found = reads.found, []

    with reads:
        start_run(config, tmp_path / "run", progress=look)
    assert len(found[12]) == 2  # for the checkpoint after step 11, and for the validation after step 12
    assert {step: who for step, who in found.items() if 3 < step < 11 and who} == {}
    assert read_losses(tmp_path / "run")[:, 0].tolist() == list(range(1, 13))


def test_losses_are_on_the_disk_before_a_checkpoint_is(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run(make_config(config.model_dump(), learning__steps=8), tmp_path / "whole")
    monkeypatch.setattr(recorder, "INTERVAL", 1000.0)
    config = make_config(config.model_dump(), learning__steps=8)
    folder, kept = tmp_path / "cut", []

    class Enough(Exception):
        pass

    def look(step: int, *_: object) -> None:
        if (folder / CHECKPOINT).exists():
            kept.append((load_plain(folder / CHECKPOINT)["global_step"], len(read_losses(folder))))
        if step == 7:
            raise Enough

    with pytest.raises(Enough):
        start_run(config, folder, progress=look)
    assert kept
    assert all(losses >= step for step, losses in kept)
    assert len(read_losses(folder)) == 7  # what could still be told
    resume_run(folder)
    assert np.array_equal(read_losses(folder), read_losses(tmp_path / "whole"))


def test_losses_come_about_every_second(config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "INTERVAL", 0.2)
    config = make_config(config.model_dump(), learning__steps=60, learning__validate_every=60)
    behind = []

    def look(step: int, *_: object) -> None:
        behind.append((step - len(read_losses(tmp_path / "run"))) if step > 2 else 0)
        time.sleep(0.02)

    start_run(config, tmp_path / "run", progress=look)
    assert max(behind) <= 15
    assert read_status(tmp_path / "run").loss == read_losses(tmp_path / "run")[-1, 1]


def test_a_loss_that_is_not_finite_is_found_before_it_is_kept(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "INTERVAL", 1000.0)
    config = make_config(config.model_dump(), learning__learning_rate=1e30, learning__warmup_steps=0)
    with pytest.raises(nd.InputError, match=r"the loss is .* at step [234]: choose a lower"):
        start_run(config, tmp_path / "run")
    assert np.isfinite(read_losses(tmp_path / "run")).all()
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_the_average_is_that_of_the_formula(config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_drcr.training.callbacks.averaging import MovingAverage

    expected: list[torch.Tensor] = []
    update = MovingAverage.on_train_batch_end

    def follow(self: MovingAverage, trainer: Any, module: Any, *rest: Any) -> None:
        update(self, trainer, module, *rest)
        weights = torch.cat([weight.detach().flatten() for weight in module.parameters()]).double()
        step = len(expected)
        decay = min(0.5, (1 + step) / (10 + step))
        expected.append(weights if not step else decay * expected[-1] + (1 - decay) * weights)
        assert self._average_model is not None
        mine = torch.cat([weight.detach().flatten() for weight in self._average_model.module.parameters()])
        torch.testing.assert_close(mine.double(), expected[-1], rtol=1e-5, atol=1e-7)
        assert self._average_model.n_averaged == step + 1
        assert self._device == trainer.strategy.root_device

    monkeypatch.setattr(MovingAverage, "on_train_batch_end", follow)
    start_run(make_config(config.model_dump(), learning__steps=6, learning__ema_decay=0.5), tmp_path / "run")
    assert len(expected) == 6


@pytest.mark.parametrize(
    ("device", "cores", "devices", "wanted", "workers"),
    [
        ("cpu", 16, 1, None, 0),
        ("cpu", 16, 1, 2, 2),
        ("cuda:0", 16, 1, None, 4),
        ("cuda:0", 16, 8, None, 1),
        ("cuda:0", 3, 1, None, 2),
        ("cuda:0", 1, 1, None, 0),
        ("cuda:0", 16, 1, 0, 0),
        ("mps", 8, 1, None, 4),
    ],
)
def test_the_device_decides_how_samples_are_loaded(
    device: str, cores: int, devices: int, wanted: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_drcr.training.data.usable_cores", lambda: cores)
    config = make_config({"data": {"workers": wanted}, "devices": devices, "learning": {"batch": 8}})
    assert workers_for(config, device) == workers
    how = loading(workers, device)
    assert (how["num_workers"], how["persistent_workers"]) == (workers, workers > 0)
    assert how["pin_memory"] == device.startswith("cuda")


def test_float32_is_float32_for_as_long_as_a_run_takes(config: TrainingConfig, tmp_path: Path) -> None:
    seen = set()

    def look(*_: object) -> None:
        seen.add((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        start_run(make_config(config.model_dump(), learning__steps=2), tmp_path / "run", progress=look)
        assert seen == {(False, False)}
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (before[0], True)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def of_last_week(path: Path) -> int:
    changed = time.time_ns() - 7 * 86_400 * 10**9
    os.utime(path, ns=(changed, changed))
    return path.stat().st_mtime_ns


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    digest, read = hashlib.file_digest, []

    def counted(file: Any, name: str) -> Any:
        read.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return lambda: len(read)


def test_a_data_set_is_read_once(config: TrainingConfig, count_reads: Callable[[], int]) -> None:
    files = sorted(config.data.folder.rglob("*.mat"))
    for file in files:
        of_last_week(file)
    first = cache_scenes(config.data)
    assert count_reads() == len(files) == 2
    assert cache_scenes(config.data) == first
    assert count_reads() == 2
    content = files[0].read_bytes()
    files[0].write_bytes(content + b"\0")
    of_last_week(files[0])
    changed = cache_scenes(config.data)
    assert count_reads() == 3
    assert changed[0][0].cached != first[0][0].cached
    assert changed[1] == first[1]


def test_a_file_that_was_just_written_is_not_trusted(tmp_path: Path) -> None:
    file, kept = tmp_path / "scene.mat", tmp_path / "digests.json"
    file.write_bytes(b"one")
    written = file.stat().st_mtime_ns
    digests = Digests(kept)
    first = digests[file]
    digests.save()
    file.write_bytes(b"two")
    os.utime(file, ns=(written, written))  # within the same tick of a coarse clock
    assert Digests(kept)[file] != first != digests[file]
    os.utime(file, ns=(written + 10**13, written + 10**13))  # as a server says whose clock is fast
    digests[file]
    digests.save()
    assert not kept.exists()


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"a": 1}', b"[" * 100_000, b'{"file:///a": [1, 2, "zz"]}', b"\xff\xfe"])
def test_damaged_digests_are_made_anew(tmp_path: Path, damage: bytes) -> None:
    file, kept = tmp_path / "sc\udce9ne \N{GREEK SMALL LETTER ALPHA}.mat", tmp_path / "cache" / "digests.json"
    file.write_bytes(b"one")
    of_last_week(file)
    kept.parent.mkdir()
    kept.write_bytes(damage)
    digests = Digests(kept)
    found = digests[file]
    digests.save()
    assert kept.read_bytes() != damage
    file.unlink()
    with pytest.raises(FileNotFoundError):
        Digests(kept)[file]
    file.write_bytes(b"two")
    of_last_week(file)
    assert digests[file] != found


def test_digests_of_two_processes_are_both_kept(tmp_path: Path) -> None:
    kept = tmp_path / "digests.json"
    first, second = Digests(kept), Digests(kept)
    for number, digests in enumerate((first, second)):
        file = tmp_path / f"{number}.mat"
        file.write_bytes(bytes([number]))
        of_last_week(file)
        digests[file]
        digests.save()
    assert len(Digests(kept)._entries) == 2
