"""benchmarks/folds.py: small scenes and spectra of their own in place of CAVE and the measured collections."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from typed import run_main

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COLLECTIONS = ("dupont", "macbeth", "munsell", "rawtoaces190", "vhrel")


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return runpy.run_path(str(BENCHMARKS / "folds.py"))


def typed(*words: object, code: int = 0) -> tuple[str, str]:
    return run_main(lambda: runpy.run_path(str(BENCHMARKS / "folds.py"), run_name="__main__"), *words, code=code)


def test_every_scene_and_collection_is_held_back_once(folds: dict) -> None:
    held_back = [each for number in folds["FOLDS"] for each in folds["held_back"](number)]
    scenes = [name for world, name in held_back if world == "scene"]
    assert len(scenes) == len(set(scenes)) == 24
    assert sorted(name for world, name in held_back if world == "collection" and name != "macbeth") == [
        "dupont",
        "munsell",
        "rawtoaces190",
        "vhrel",
    ]


def test_the_shipped_configurations_leave_out_what_their_fold_holds_back(folds: dict, tmp_path: Path) -> None:
    plan = folds["Plan"](tmp_path, tmp_path / "spectra.npz", tmp_path, 1.0)
    for path in (BENCHMARKS / "configurations").glob("*.yaml"):
        config = folds["configure"](path, 2, plan, 60)
        assert config.name == path.stem
        assert "hairs" in config.data.validation
        assert config.learning.warmup_steps == 1
        if config.reflectances.share:
            assert config.reflectances.left_out == ("munsell", "macbeth")


@pytest.mark.usefixtures("own_folders")
@pytest.mark.filterwarnings("ignore::napari_drcr.errors.Notice")
def test_a_run_is_scored_on_both_worlds(folds: dict, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    for seed, name in enumerate((*folds["FOLDS"][1].scenes, "beads", "hairs")):
        nd.write_cube(tmp_path / "scenes" / f"{name}.mat", synthetic_scene(64, 64, seed=seed))
    random = np.random.default_rng(0)
    spectra = {f"reflectances_{name}": np.sort(random.uniform(0.1, 0.9, (4, 31))) for name in COLLECTIONS}
    np.savez(tmp_path / "spectra.npz", wavelengths_nm=np.arange(400, 701, 10), **spectra)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "data: {quantity: reflectance, patch: 16}\nreflectances: {share: 0.5}\nlearning: {batch: 2, precision: fp32}\n"
        "network: {architecture: log_residual, channels: 8, blocks: 1}\n"
    )
    plan = folds["Plan"](tmp_path / "scenes", tmp_path / "spectra.npz", tmp_path / "out", 1.0)
    folds["photograph"]([1], plan)
    rows = folds["train"](recipe, 1, 0, 2, plan) + folds["train"](Path("polynomial"), 1, 0, 0, plan)
    assert [row.name for row in rows[:6]] == [*folds["FOLDS"][1].scenes, "vhrel", "macbeth"]
    assert all(0 < row.mrae < 2 and len(row.bands) == 31 for row in rows)
    assert nd.load_model(tmp_path / "out" / "tiny" / "fold-1" / "model.safetensors").card.name == "tiny"
    folds["write_rows"](tmp_path / "out" / "folds.csv", rows)
    assert folds["read_rows"](tmp_path / "out" / "folds.csv") == rows
    table, _ = typed("--table", "--out", tmp_path / "out")
    assert {line.split(" | ")[0] for line in table.splitlines()[4:]} == {"| tiny", "| polynomial"}
    _, said = typed(recipe, "--out", tmp_path / "out", code=1)
    assert "scenes or reflectances are missing" in said
    _, said = typed(
        recipe, "--folder", plan.folder, "--reflectances", plan.reflectances, "--out", plan.out, "--seconds", 9, code=1
    )
    assert "has rows of 1 seconds, not 9; name another --out" in said
