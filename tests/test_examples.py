"""The scripts of examples/, as typed, in one interpreter to be quick."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import napari_drcr as nd
from napari_drcr.analysis.plausibility import MEANING
from napari_drcr.analysis.spectra import compare, nearest, spectrum_at
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.inference.reconstruction import ESTIMATE
from napari_drcr.io import read_library
from napari_drcr.io.library import colorchecker

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
RGB, TRUTH = synthetic_pair(48, 64)

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a script in an empty folder and return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run_script(name: str, *words: object) -> str:
        script = FOLDER / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    return run_script


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Files of a photo and of its true cube."""
    photo, truth = tmp_path / "mine.png", tmp_path / "mine-true.mat"
    Image.fromarray(RGB).save(photo)
    nd.write_cube(truth, TRUTH)
    return photo, truth


def is_figure(path: Path) -> bool:
    with Image.open(path) as picture:
        return min(picture.size) >= 400


def test_a_photo_becomes_files_for_other_programs(run: Run, pair: tuple[Path, Path]) -> None:
    said = run("photo_to_cube", "--model", "linear")
    assert "coffee.png: 400 x 600 pixels, 0.43% clipped, colours: sRGB (assumed)" in said
    assert "What a network must beat" in said
    assert "on held-out scenes:\n  " in said
    assert "24 scenes: MRAE@0.01 0.215" in said
    assert said.endswith(f"{ESTIMATE}\n")
    cube = nd.read_cube("examples-output/coffee.mat")
    assert cube.shape == (31, 400, 600)
    assert nd.mrae(cube, nd.read_cube("examples-output/coffee.hdr"), 0.01) < 1e-6
    assert "mine.png: 48 x 64 pixels" in run("photo_to_cube", pair[0], "-m", "linear", "-o", "here/and/there")
    assert nd.read_cube("here/and/there/mine.mat").attrs["model"] == "linear"


def test_spectra_of_the_sample_are_compared_drawn_and_written(run: Run) -> None:
    said = run("compare_spectra", "-m", "linear")
    assert said.splitlines()[2].split() == ["MRAE@0.01", "RMSE", "SAM", "(°)"]
    assert said.endswith(f"{ESTIMATE}\n")
    with pytest.warns(nd.Notice, match="taken as nm"):
        written = read_library("examples-output/spectra.csv")
    assert len(written.names) == 12  # five pixels and a region, true and estimated
    assert "mean over 5096 pixels (truth)" in written.names
    assert is_figure(Path("examples-output/spectra.png"))


def test_spectra_of_my_own_files_where_i_say(run: Run, pair: tuple[Path, Path]) -> None:
    estimate = nd.reconstruct(RGB, "linear")
    corners = [word for y, x in ((2, 2), (2, 20), (9, 20)) for word in ("--corner", y, x)]
    said = run("compare_spectra", *pair, "--at", 20, 30, *corners, "-m", "linear", "-o", "mine")
    found = compare(spectrum_at(TRUTH, 20, 30), spectrum_at(estimate, 20, 30), 0.01)
    assert f"MRAE@0.01 of all pixels: {nd.mrae(TRUTH, estimate, 0.01):.3f}\n" in said
    assert "of the truth: reflectance" in said
    assert re.search(rf"y 20, x 30 +{found.mrae:.3f} +{found.rmse:.3f} +{found.sam:.2f}\n", said)
    assert re.search(r"mean over \d+ pixels +0\.", said)
    assert "y 24, x 32" in run("compare_spectra", *pair, "-m", "linear")


def test_errors_of_models_on_one_scale(run: Run, pair: tuple[Path, Path]) -> None:
    said = run("error_maps", *pair, "--models", "linear", "polynomial", "photo", "-o", "maps")
    for model in ("linear", "polynomial", "photo"):
        cube = nd.reconstruct(RGB, model)
        errors = nd.error_map(TRUTH, cube, floor=0.01, clipped=cube["clipped"])
        assert f"{model}: MRAE@0.01 {nd.mrae(TRUTH, cube, 0.01):.3f}, worst at\n" in said
        y, x = (int(index[0]) for index in (errors.values == errors.max().item()).nonzero())
        assert f"  y {y}, x {x}: {errors.max().item():.2f}\n" in said
    assert re.search(r"excluded: \d+\.\d% of the entries, below 0\.01 or clipped", said)
    assert said.endswith(f"{ESTIMATE}\n")
    assert is_figure(Path("maps/error_maps.png"))
    assert Path("maps/comparison.pdf").read_bytes().startswith(b"%PDF")
    assert "linear: MRAE@0.01 0.1" in run("error_maps", "--models", "linear")


def test_references_that_a_pixel_is_most_like(run: Run, pair: tuple[Path, Path]) -> None:
    said = run("reference_spectra", "-m", "linear")
    assert re.search(r"y 108, x 127: yellow \d\.\d°, orange yellow", said)
    assert f"{ESTIMATE} Pixels with the same RGB get the same estimate" in said
    assert is_figure(Path("examples-output/references.png"))

    patches = colorchecker()
    rows = [f"{name}," + ",".join(map(str, patches.spectrum(name).values.tolist())) for name in ("red", "green", "blue")]
    header = "name," + ",".join(f"{nm:g} nm" for nm in patches.wavelengths)
    Path("paints.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    said = run("reference_spectra", pair[1], "--library", "paints.csv", "--at", 20, 30)
    best, angle = nearest(read_library("paints.csv"), spectrum_at(TRUTH, 20, 30))[0]
    assert f"y 20, x 30: {best} {angle:.1f}°" in said
    assert "estimate" not in said  # the cube was measured


def test_metamers_pass_where_a_wrong_cube_does_not(run: Run, pair: tuple[Path, Path]) -> None:
    for words in ((), pair[:1]):
        said = run("check_plausibility", *words, "-m", "linear")
        found = re.findall(r"^(.+?) +residual (0\.\d+), MRAE@0\.01 from the estimate (\d\.\d+)$", said, re.MULTILINE)
        residuals = {name: float(residual) for name, residual, _ in found}
        differs = {name: float(error) for name, _, error in found}
        assert residuals["metamer"] == residuals["estimate"] < 0.05 < residuals["bands reversed"]
        assert differs["metamer"] > 0.2
        assert "Projected through: camera photo" in said
        assert said.endswith(f"{ESTIMATE} {MEANING}\n")
    assert is_figure(Path("examples-output/plausibility.png"))


@pytest.mark.usefixtures("own_folders")
def test_networks_side_by_side(run: Run) -> None:
    with pytest.warns(nd.Notice, match="4 scenes are now converted once"):
        said = run("compare_networks", "--networks", "stiebel", "hscnn_r:small", "--steps", 2)
    found = re.findall(r"^(\S+): ([\d,]+) parameters, MRAE@0\.01 (\d+\.\d{3}) after \d+ s$", said, re.MULTILINE)
    assert [(name, parameters) for name, parameters, _ in found] == [("stiebel", "152,527"), ("hscnn_r:small", "243,391")]
    assert said.endswith(f"{ESTIMATE}\n")
    assert is_figure(Path("examples-output/compare_networks.png"))
    rgb, truth = synthetic_pair()
    cube = nd.reconstruct(rgb, "examples-output/hscnn_r-small.safetensors")
    assert f"{nd.mrae(truth, cube, 0.01):.3f}" == found[1][2]


def test_a_network_that_is_not_there_is_said_in_a_sentence(run: Run) -> None:
    with pytest.raises(SystemExit, match=r"^Error: there is no network 'lost'"):
        run("compare_networks", "--networks", "lost")
    Path("taken").touch()
    with pytest.raises(SystemExit, match=r"^Error: .*taken"):
        run("compare_networks", "-o", "taken")
    assert not Path("examples-output").exists()


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "compare_networks"])
def test_what_cannot_be_read_is_said_in_a_sentence(run: Run, name: str, pair: tuple[Path, Path]) -> None:
    truth = pair[1:] if name in ("compare_spectra", "error_maps") else ()
    with pytest.raises(SystemExit, match=r"^Error: lost\.png: there is no such file"):
        run(name, "lost.png", *truth)
    Path("taken").touch()
    with pytest.raises(SystemExit, match=r"^Error: .*taken"):
        run(name, pair[0], *truth, *(["--model", "linear"] if name != "error_maps" else ["--models", "linear"]), "-o", "taken")


def test_a_photo_without_its_cube_is_not_compared(
    run: Run, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("compare_spectra", "error_maps"):
        with pytest.raises(SystemExit, match="2"):
            run(name, pair[0])
        assert "name the measured cube of the photo as well" in capsys.readouterr().err


def test_the_readme_has_a_line_for_each() -> None:
    rows = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)\.py", rows, re.MULTILINE) == [
        "photo_to_cube",
        "compare_spectra",
        "error_maps",
        "reference_spectra",
        "check_plausibility",
        "compare_networks",
    ]
    assert len(SCRIPTS) == 6
