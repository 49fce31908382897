"""Kill a training run at random moments, resume it each time, and compare its curve with that of an uninterrupted run.

    python benchmarks/kill_runs.py --kills 20

After every kill the run folder must be readable; at the end every loss, score and weight must be bit-identical to the other run's. The
network is tiny, the scenes are synthetic, and a checkpoint is written every few milliseconds, so that many kills interrupt one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.system.pickles import load_plain
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs import prepare, read_run
from napari_drcr.training.jobs.folder import CHECKPOINT
from napari_drcr.training.jobs.records import LossCurve, read_losses, read_metrics, read_preview
from napari_drcr.training.sections import TrainingConfig


def make_scenes(folder: Path, side: int = 32) -> None:
    """Two square training scenes and one validation scene."""
    for split, seeds in (("Train_spectral", (1, 2)), ("Valid_spectral", (3,))):
        (folder / split).mkdir(parents=True)
        for seed in seeds:
            nd.write_cube(folder / split / f"scene_{seed}.mat", synthetic_scene(side, side, seed=seed))


def tiny(scenes: Path, steps: int) -> TrainingConfig:
    """A run with steps of milliseconds that validates every third step."""
    learning = {"steps": steps, "batch": 1, "validate_every": 3, "precision": "fp32", "learning_rate": 0.003}
    network = {"channels": 8, "blocks": 1}
    data = {"folder": str(scenes), "patch": 16}
    return make_config({"name": "tiny", "device": "cpu", "network": network, "data": data, "learning": learning})


def train(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start or resume a run in a separate process."""
    command = [sys.executable, "-m", "napari_drcr", "train", "--resume", str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check(folder: Path) -> str:
    """Read everything in the folder, and summarise it in one line."""
    run = read_run(folder)
    if (folder / CHECKPOINT).is_file():
        load_plain(folder / CHECKPOINT)
    if run.model is not None:
        nd.load_model(run.model)
    read_preview(folder)
    return f"{run.state}, {len(read_metrics(folder))} validations, {len(read_losses(folder))} losses"


def curves(folder: Path) -> list[object]:
    """The data that must be identical in both runs."""
    model = nd.load_model(folder / "model.safetensors")
    rows = [(row["step"], row["loss"], row["mrae"], row["learning_rate"]) for row in read_metrics(folder)]
    return [read_losses(folder).tolist(), rows, model.sha256]


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        environment = os.environ | {"XDG_CACHE_HOME": str(place / "cache"), "XDG_DATA_HOME": str(place / "user")}
        make_scenes(place / "scenes")
        for name in ("whole", "killed"):
            prepare(tiny(place / "scenes", arguments.steps), place / name)
        began = time.monotonic()
        process = train(place / "whole", environment)
        while read_run(place / "whole").state != "running":
            time.sleep(0.01)
        start = time.monotonic() - began
        if process.wait():
            raise SystemExit("the uninterrupted run failed")
        whole = time.monotonic() - began
        print(f"uninterrupted: {whole:.1f} s, including {start:.1f} s to start", flush=True)
        for kill, step in enumerate(sorted(random.integers(arguments.steps, size=arguments.kills))):
            process = train(place / "killed", environment)
            if random.random() < 0.25:
                time.sleep(random.uniform(0, start))  # while it starts
            else:
                curve = LossCurve(place / "killed")
                while process.poll() is None and len(curve.rows) <= step:
                    time.sleep(0.001)
                    curve.update()
                time.sleep(random.uniform(0, 0.1))
            process.kill()
            process.wait()
            print(f"kill {kill + 1}, intended at step {step}: {check(place / 'killed')}", flush=True)
        if train(place / "killed", environment).wait():
            raise SystemExit("the killed run could not be finished")
        print(f"finished: {check(place / 'killed')}; {time.monotonic() - began:.0f} s in total")
        if curves(place / "whole") != curves(place / "killed"):
            raise SystemExit("the killed run's curves differ from those of the uninterrupted run")
        print("every loss, every score and the model are bit-identical to the uninterrupted run")


if __name__ == "__main__":
    main()
