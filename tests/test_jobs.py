"""Runs in processes of their own: started, followed, stopped, resumed, queued, killed, deleted; and strangers' folders."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import torch
from filelock import FileLock
from typer.testing import CliRunner

import napari_drcr as nd
from napari_drcr.cli import app
from napari_drcr.system.pickles import load_plain
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs import delete, list_runs, prepare, read_run, start, stop
from napari_drcr.training.jobs.folder import (
    CHECKPOINT,
    CONFIG,
    FILES,
    LOCK,
    LOSSES,
    STATUS,
    new_run_folder,
    read_status,
    runs_folder,
    update_status,
)
from napari_drcr.training.jobs.records import LossCurve, read_losses, read_metrics, read_preview
from napari_drcr.training.jobs.session import explain, is_held, session
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.sections import TrainingConfig

PATIENCE = 100.0  # seconds; two cores may be busy with other things
pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_for_state(folder: Path, state: str) -> None:
    wait_for(lambda: read_run(folder).state in (state, "crashed"))
    run = read_run(folder)
    assert run.state == state, (run.cause, run.output.read_text(encoding="utf-8") if run.output.exists() else "")


def type_command(*words: object, typed: str = "") -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    if isinstance(done.exception, nd.InputError):
        raise done.exception
    return done.output


def test_a_run_outlives_who_started_it_is_stopped_and_goes_on(config: TrainingConfig, tmp_path: Path) -> None:
    folder = new_run_folder("tiny")
    prepare(config, folder)
    assert (read_run(folder).state, read_run(folder).status.step) == ("stopped", 0)
    code = f"from pathlib import Path; from napari_drcr.training.jobs import start; start(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert read_run(folder).state in ("queued", "preparing", "running")
    with pytest.raises(nd.InputError, match=r"is (queued|preparing|running) already"):
        start(folder)
    wait_for_state(folder, "running")
    curve = LossCurve(folder)
    wait_for(lambda: curve.update() and len(curve.rows) > 4 and read_run(folder).model)
    seen = len(curve.rows)
    wait_for(lambda: curve.update() and len(curve.rows) > seen)
    assert curve.rows[:, 0].tolist() == list(range(1, len(curve.rows) + 1))
    run = read_run(folder)
    assert (run.status.device, run.status.steps, run.status.metric) == ("cpu", 100_000, "MRAE@0.01")
    assert run.status.seconds_left is not None
    assert 0 < run.status.best < 2
    preview = read_preview(folder)
    assert (preview.scene, preview.truth.shape, preview.estimate.shape, preview.rgb.shape) == (
        "scene_2", (31, 32, 48), (31, 32, 48), (3, 32, 48)
    )  # fmt: skip
    with pytest.raises(nd.InputError, match="is being trained by another process"):
        resume_run(folder)
    with pytest.raises(nd.InputError, match="is running; stop it first"):
        delete(folder)
    assert "running" in type_command("runs")

    asked = time.monotonic()
    assert "will stop" in type_command("runs", "--stop", folder.name)
    wait_for_state(folder, "stopped")
    assert time.monotonic() - asked < 10
    kept = load_plain(folder / CHECKPOINT)["global_step"]
    assert read_run(folder).cause == f"stopped at step {kept}"
    assert f"stopped at step {kept}" in read_run(folder).log.read_text(encoding="utf-8")
    assert f"Stopped at step {kept}. To continue: " in read_run(folder).output.read_text(encoding="utf-8")
    assert not (folder / "STOP").exists()
    with pytest.raises(nd.InputError, match="is not running"):
        stop(folder)

    assert f"--model {read_run(folder).model}" in type_command("models")
    start(folder)
    wait_for(lambda: read_run(folder).status.step > kept + 8)
    process = read_status(folder).process
    os.kill(process, 9)
    wait_for(lambda: read_run(folder).state == "crashed")
    assert "without reporting why" in read_run(folder).cause
    wait_for(lambda: not Path(f"/proc/{process}").exists())  # nobody stays in the table of processes
    rows = read_losses(folder)[:, 0].tolist()
    assert rows == list(range(1, len(rows) + 1))
    assert "without reporting why" in type_command("runs").replace("\n", " ")


def test_killed_at_any_moment_and_resumed_the_curve_is_that_of_a_run_left_in_peace(
    config: TrainingConfig, tmp_path: Path
) -> None:
    """See benchmarks/kill_runs.py for more kills."""
    config = make_config(config.model_dump(), learning__steps=60, learning__validate_every=3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start_run(config, whole)
    prepare(config, killed)
    random = np.random.default_rng()
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_drcr", "train", "--resume", str(killed)], stderr=subprocess.DEVNULL
        )
        wait_for(lambda: read_run(killed).state in ("running", "finished"))
        time.sleep(random.uniform(0, 0.5))
        process.kill()
        process.wait()
        assert read_run(killed).state in ("crashed", "finished")
        if (killed / CHECKPOINT).exists():
            assert load_plain(killed / CHECKPOINT)["global_step"] <= 60
        read_metrics(killed), read_losses(killed), read_preview(killed)
    resume_run(killed)
    assert len(read_losses(killed)) == 60
    assert np.array_equal(read_losses(whole), read_losses(killed))
    scores = [[(row["step"], row["loss"], row["mrae"]) for row in read_metrics(folder)] for folder in (whole, killed)]
    assert scores[0] == scores[1]
    assert nd.load_model(whole / "model.safetensors").sha256 == nd.load_model(killed / "model.safetensors").sha256
    assert not list(killed.rglob(".unfinished*"))


def test_one_run_at_a_time_uses_a_device_and_the_others_wait_their_turn(config: TrainingConfig, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        prepare(config, folder)
    start(first)
    wait_for_state(first, "running")
    for folder in (second, third):
        start(folder)
        wait_for(lambda folder=folder: is_held(folder / "run.lock"))
    time.sleep(1)
    assert [read_run(folder).state for folder in (first, second, third)] == ["running", "queued", "queued"]
    waiting = Path(f"/proc/{read_status(second).process}/maps").read_text(encoding="utf-8")
    assert "torch" not in waiting
    assert "libpython" in waiting or "python" in waiting
    stop(second)
    wait_for_state(second, "stopped")
    assert read_run(second).cause == "stopped while it waited for its device"
    stop(first)
    wait_for_state(third, "running")
    assert read_run(first).state == "stopped"
    stop(third)
    wait_for_state(third, "stopped")
    assert {run.folder.name for run in list_runs(tmp_path)} == {"first", "second", "third"}


def test_a_run_goes_on_though_its_last_process_has_not_quite_ended(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_drcr.training.jobs.session.PATIENCE", 0.1)
    folder = tmp_path / "run"
    prepare(config, folder)
    ending = FileLock(folder / LOCK, thread_local=False)
    ending.acquire()
    with pytest.raises(nd.InputError, match="is being trained by another process"), session(folder):
        pass
    letting_go = Timer(0.5, ending.release)
    letting_go.start()
    with session(folder, queue=True):
        assert read_run(folder).state == "preparing"
    letting_go.join()


def test_a_crash_is_told_in_a_sentence(config: TrainingConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(config, folder)
    (tmp_path / "scenes").rename(tmp_path / "moved")
    start(folder)
    wait_for(lambda: read_run(folder).state == "crashed")
    assert read_run(folder).cause == f"the data folder {tmp_path / 'scenes'} does not exist."
    (tmp_path / "moved").rename(tmp_path / "scenes")
    diverging = make_config(config.model_dump(), learning__learning_rate=1e30)
    with pytest.raises(nd.InputError, match="lower"):
        start_run(diverging, tmp_path / "diverging")
    assert "choose a lower learning.learning_rate" in read_run(tmp_path / "diverging").cause
    update_status(folder, state="queued", launched=time.time() - 1000)
    (folder / "output.txt").write_text("Traceback\nModuleNotFoundError: No module named 'lightning'\n", encoding="utf-8")
    assert read_run(folder).cause == "it did not start: ModuleNotFoundError: No module named 'lightning'"


def test_causes_are_said_in_one_sentence(tmp_path: Path) -> None:
    full = nd.InputError("last.ckpt cannot be written: No space left on device.")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "last.ckpt"))
    assert explain(full) == f"the disk is full ({tmp_path / 'last.ckpt'}): make room and resume."
    cuda = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 1 GiB free")
    cpu = RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    assert all(explain(error).startswith("out of memory: lower") for error in (cuda, cpu, MemoryError()))
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/scene.npy")
    assert explain(gone) == "/data/scene.npy is gone: put it back and resume."
    from_worker = nd.InputError(
        "Caught InputError in DataLoader worker\nTraceback\nnapari_drcr.errors.InputError: scene 1 is black."
    )
    assert explain(from_worker) == "scene 1 is black."
    assert explain(ValueError("first\nlast")) == "ValueError: last"
    assert explain(AssertionError()) == "AssertionError"


class Evil:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.proof}",)


def test_a_strangers_preview_takes_no_memory(tmp_path: Path) -> None:
    good = {"step": 1, "scene": "leaf", "rgb": np.zeros((3, 4, 5), np.float16)}
    bands = {"truth": np.zeros((31, 4, 5), np.float16), "estimate": np.zeros((31, 4, 5), np.float16)}
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f2', 'fortran_order': False, 'shape': (31, 3200, 3200), }".ljust(117) + b"\n"
    )
    np.savez(tmp_path / "inflating.npz", step=1, scene="leaf")
    packed = zipfile.ZipFile(tmp_path / "inflating.npz", "a", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open("rgb.npy", "w") as member:
        member.write(header)
        for _ in range(160):
            member.write(bytes(2**22))
    np.savez(tmp_path / "promising.npz", **good, estimate=bands["estimate"])
    with zipfile.ZipFile(tmp_path / "promising.npz", "a") as archive:
        archive.writestr("truth.npy", header)
    np.savez(tmp_path / "long_name.npz", **(good | bands | {"scene": "x" * 5000}))
    np.savez(tmp_path / "whole.npz", **good, **bands)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    (tmp_path / "no_header.npz").write_bytes(whole.replace(b"{'descr'", b"(('descr'"))
    (tmp_path / "commented.npz").write_bytes(whole[:-2] + b"\x05\0hello")
    folders = []
    for path in sorted(tmp_path.glob("*.npz")):
        folders.append(path.with_suffix(""))
        folders[-1].mkdir()
        path.rename(folders[-1] / "preview.npz")
    tracemalloc.start()
    try:
        assert [folder.name for folder in folders if read_preview(folder)] == ["whole"]
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_strangers_run_runs_no_code(config: TrainingConfig, tmp_path: Path) -> None:
    folder, proof = runs_folder() / "gift", tmp_path / "proof"
    prepare(make_config(config.model_dump(), learning__steps=4), folder)
    (folder / CHECKPOINT).parent.mkdir()
    torch.save({"state_dict": {}, "loops": Evil(proof)}, folder / CHECKPOINT)
    with pytest.raises(nd.InputError, match="could run code"):
        resume_run(folder)
    assert "could run code" in read_run(folder).cause
    parts = ("state_dict", "loops", "optimizer_states", "callbacks", "global_step")
    torch.save({name: {} for name in parts}, folder / CHECKPOINT)
    with pytest.raises(nd.InputError, match="is no checkpoint of this run"):
        resume_run(folder)
    (folder / CHECKPOINT).write_bytes(pickle.dumps(Evil(proof)))
    with pytest.raises(nd.InputError, match="could run code"):
        resume_run(folder)
    np.savez(folder / "preview.npz", step=1, scene="x", rgb=np.array([Evil(proof)]), truth=0, estimate=0)
    assert read_preview(folder) is None
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil(proof)))
    with pytest.raises(nd.InputError, match="could run code"):
        nd.load_model(folder / "model.safetensors")
    with pytest.warns(nd.errors.Notice, match="the model of run gift is skipped"):
        type_command("models")
    (folder / CONFIG).write_text(f"name: !!python/object/apply:os.system ['touch {proof}']\n", encoding="utf-8")
    with pytest.raises(nd.InputError, match="is not a YAML file"):
        resume_run(folder)
    for status in (
        "[" * 50_000,
        '{"step": "many"}',
        '{"state": "running", "seconds_left": NaN}',
        '{"state": "stopped", "cause": "[red]\\u001b[2J[/nonsense]"}',
        "{}",
        "",
    ):
        (folder / STATUS).write_text(status, encoding="utf-8")
        shown = type_command("runs")
        assert "gift" in shown
        assert "\x1b" not in shown
    assert not proof.exists()


def test_deleting_takes_nothing_but_the_run(config: TrainingConfig, tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    start_run(make_config(config.model_dump(), learning__steps=4), folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} <= set(FILES)
    other.mkdir()
    (other / CONFIG).write_text("mine: 1", encoding="utf-8")
    for no_run in (other, tmp_path / "nowhere"):
        with pytest.raises(nd.InputError, match="is no run folder"):
            delete(no_run)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(nd.InputError, match="is a link to a run folder"):
        delete(tmp_path / "link")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "last.ckpt").write_text("precious", encoding="utf-8")
    (folder / CHECKPOINT).unlink()
    (folder / "checkpoints").rmdir()
    (folder / "checkpoints").symlink_to(tmp_path / "precious")
    (folder / "thesis.txt").write_text("precious", encoding="utf-8")
    assert "Delete" in type_command("runs", "--folder", tmp_path, "--delete", "run", typed="n\n")
    assert read_run(folder).state == "finished"
    with pytest.warns(nd.errors.Notice, match="holds files that are not the run's"):
        type_command("runs", "--folder", tmp_path, "--delete", "run", "--yes")
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "precious" / "last.ckpt").exists()
    assert (other / CONFIG).exists()
    with pytest.raises(nd.InputError, match="is no run folder"):
        type_command("runs", "--folder", tmp_path, "--delete", "run", "--yes")


def test_looking_at_a_run_costs_next_to_nothing(config: TrainingConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(config, folder)
    (folder / "run.lock").touch()
    update_status(folder, state="running")
    took = []
    for _ in range(50):
        began = time.perf_counter()
        read_run(folder)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.005
    modules = "import napari_drcr.training.jobs, napari_drcr.training.jobs.records, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_torn_line_of_losses_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / LOSSES
    curve = LossCurve(tmp_path)
    assert not curve.update()
    path.write_text("step,loss,learning_rate\n1,0.5,0.001\n2,0.4", encoding="utf-8")
    assert curve.update()
    assert curve.rows.tolist() == [[1, 0.5, 0.001]]
    with path.open("a", encoding="utf-8") as file:
        file.write("5,0.001\n")
    assert curve.update()
    assert curve.rows.tolist() == [[1, 0.5, 0.001], [2, 0.45, 0.001]]
    assert not curve.update()
    (tmp_path / "new").write_text("step,loss,learning_rate\n1,0.5,0.001\n", encoding="utf-8")
    (tmp_path / "new").replace(path)
    assert curve.update()
    assert curve.rows.tolist() == [[1, 0.5, 0.001]]
