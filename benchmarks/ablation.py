"""The paper's ablation at small scale: DRCR Net with and without NPM and CRM, and with gates that start near 1, on the same budget.

usage: python benchmarks/ablation.py CONFIG.yaml DATA OUT [STEPS [SEEDS]]

The network is small, scenes and camera are those of CONFIG (configs/photo-drcr-start.yaml); the variants differ only in the parts left out. Each
is a run in the folder OUT. Existing runs are reused: an interrupted one is resumed, a finished one is only read. The table is written to
OUT/ablation.md.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from statistics import fmean

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.models.store import load_model
from napari_drcr.system.files import atomic_path
from napari_drcr.training.config import read_config
from napari_drcr.training.jobs.records import read_metrics
from napari_drcr.training.run import resume_run, start_run

NETWORK: dict[str, float] = {"channels": 32, "blocks": 4}
VARIANTS: dict[str, dict[str, float]] = {
    "complete": {},
    "without NPM": {"purification": False},
    "without CRM": {"recalibration": False},
    "without both": {"purification": False, "recalibration": False},
    "gates near 1": {"gate_offset": 4.0},
    "gates near 1, without NPM": {"gate_offset": 4.0, "purification": False},
}


def main(config_path: str, data: str, out: str, steps: str = "2000", seeds: str = "1") -> None:
    """Train every variant with every seed, and tabulate the best scores."""
    base = read_config(config_path)
    floor = base.learning.validation_floor
    rows = [f"| variant | parameters | {metric_name('mrae', floor)}, by seed | mean |", "| --- | --- | --- | --- |"]
    scores: dict[str, list[float]] = {name: [] for name in VARIANTS}
    parameters = {}
    for seed, (name, left_out) in product(range(int(seeds)), VARIANTS.items()):
        settings = {
            "learning__steps": int(steps),
            "learning__validate_every": min(500, int(steps)),
            "network": NETWORK | left_out,
        }
        config = read_config(config_path, name=name, seed=seed, data__folder=data, **settings)
        folder = Path(out) / f"{name.replace(' ', '-')}-{seed}"
        if not folder.exists():
            start_run(config, folder)
        elif not (recorded := read_metrics(folder)) or recorded[-1]["step"] < config.learning.steps:
            resume_run(folder)
        scores[name].append(min(row["mrae"] for row in read_metrics(folder)))
        parameters[name] = load_model(folder / "model.safetensors").parameters
        print(f"{name}, seed {seed}: {scores[name][-1]:.4f}", flush=True)
    for name, found in scores.items():
        each = ", ".join(f"{score:.4f}" for score in found)
        rows.append(f"| {name} | {parameters[name]:,} | {each} | {fmean(found):.4f} |")
    with atomic_path(Path(out) / "ablation.md") as temporary:
        temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print("\n".join(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
