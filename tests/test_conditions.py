"""benchmarks/conditions.py, as typed."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import xarray as xr

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.models.store import Card, Model
from typed import run_main

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "conditions.py"


def run(*words: object, code: int = 0) -> tuple[str, str]:
    return run_main(lambda: runpy.run_path(str(SCRIPT), run_name="__main__"), *words, code=code)


def data_with(scene: xr.DataArray, folder: Path) -> Path:
    (folder / "data" / "Valid_spectral").mkdir(parents=True)
    nd.write_cube(folder / "data" / "Valid_spectral" / "scene.mat", scene)
    return folder / "data"


def test_a_row_a_condition_and_a_column_a_model(tmp_path: Path) -> None:
    data, out = data_with(synthetic_scene(48, 64), tmp_path), tmp_path / "out"
    mine = tmp_path / "mine.safetensors"
    linear = nd.load_model("linear")
    nd.save_model(mine, Model(linear.card.model_copy(update={"name": "mine"}), linear.estimator))
    said, _ = run(data, out, "--models", f"polynomial,linear,{mine}", "--card", mine)
    assert "authors' images: skipped" in said
    table = (out / "conditions.md").read_text(encoding="utf-8")
    assert table.startswith("| MRAE@0.01 | clipped | `polynomial` | `linear` | `mine` |")
    rows = json.loads((out / "conditions.json").read_text(encoding="utf-8"))["conditions"]
    assert [*rows] == [
        "JPEG 90",
        "JPEG 50",
        "noise",
        "exposure 0.5",
        "exposure 2",
        "Canon EOS 5D Mark II",
        "Nikon D700",
        "Sony ILCE-7M3",
        "Insta360 X5",
        "JPEG 90, self-ensemble",
    ]
    (images,) = (path for path in out.glob("jpeg-50-*/rgb"))
    score = nd.evaluate(images, data / "Valid_spectral", "linear").mean
    assert rows["JPEG 50"]["models"]["linear"]["mean"]["mrae"] == score.mrae
    # Half the light is half the cube: the maps scale with it, but for 8 bits and JPEG.
    dark = rows["exposure 0.5"]["models"]["linear"]["mean"]
    assert dark["mrae"] == pytest.approx(rows["JPEG 90"]["models"]["linear"]["mean"]["mrae"], rel=0.3)
    assert rows["exposure 2"]["clipped"] > rows["JPEG 90"]["clipped"]
    card = nd.load_model(mine).card
    assert card.scores["JPEG 50: MRAE@0.01"] == round(score.mrae, 4)
    assert len(card.scores) == 10

    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert run(data, out, "--models", "linear")[0].count("linear: MRAE@0.01") == 10
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == made


def test_lamps_for_models_of_the_challenges_camera(tmp_path: Path) -> None:
    data, out = data_with(synthetic_scene(272, 288), tmp_path), tmp_path / "out"
    lamplit = tmp_path / "lamplit.safetensors"
    card = Card(name="lamplit", architecture="linear", wavelengths=WAVELENGTHS, encoding="as given", quantity="radiance")
    nd.save_model(lamplit, Model(card, nd.load_model("linear").estimator))
    run(data, out, "--conditions", "ntire2022", "--models", lamplit)
    rows = json.loads((out / "conditions.json").read_text(encoding="utf-8"))["conditions"]
    assert [*rows] == ["under D65", "under D50", "under A", "under FL2", "under LED-B3"]
    (cube,) = out.glob("under-fl2-*/cubes/scene.mat")
    assert nd.read_cube(cube).attrs["illuminant"] == "FL2"
    _, err = run(data, out, "--conditions", "ntire2022", "--models", "linear", code=1)
    assert "the true cube holds radiance, the estimate reflectance" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--conditions", "mars"), "there are no conditions 'mars'; there are photo, ntire2022."),
        (("--models", "linear,linear"), "two of the models are called 'linear'"),
        (("--models", "nothing"), "there is no model 'nothing'"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_sentence(tmp_path: Path, words: tuple[str, str], sentence: str) -> None:
    data = data_with(synthetic_scene(48, 64), tmp_path)
    assert sentence in run(data, tmp_path / "out", *words, code=1)[1]
    assert "has no folder Valid_spectral" in run(tmp_path, tmp_path / "out", code=1)[1]
