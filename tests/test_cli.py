"""The command line, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cli import main
from napari_drcr.errors import Notice
from napari_drcr.models.architecture import architectures, find_architecture
from napari_drcr.models.store import Card, Model
from typed import run_main

pytestmark = pytest.mark.usefixtures("own_folders")


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Run the command line; what it printed on stdout and on stderr."""
    return run_main(main, *words, code=code)


def run_alone(*words: object, code: int = 0) -> tuple[str, str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "napari_drcr", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(30, 226, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_one_photo_becomes_one_cube(photo: Path, tmp_path: Path) -> None:
    out, _ = run_alone("reconstruct", photo, "-o", tmp_path / "out.mat", "--model", "polynomial")
    assert "out.mat" in out
    assert "not measurements" in out
    cube = nd.read_cube(tmp_path / "out.mat")
    np.testing.assert_array_equal(cube, nd.reconstruct(photo, "polynomial"))
    assert cube.attrs["model"] == "polynomial"


@pytest.mark.parametrize("suffix", [".hdr", ".nc", ".tif"])
def test_every_format_of_cubes_goes_out_and_in(photo: Path, tmp_path: Path, suffix: str) -> None:
    cube = tmp_path / f"out{suffix}"
    run("reconstruct", photo, "-o", cube, "-m", "linear")
    assert nd.read_cube(cube).equals(nd.reconstruct(photo, "linear").drop_vars("clipped"))  # the marks stay in memory
    run("simulate", cube, "-o", tmp_path / "again.jpg")
    assert nd.read_rgb(tmp_path / "again.jpg").shape == (20, 30, 3)


def test_a_white_patch_and_self_ensemble_reach_the_cube(photo: Path, tmp_path: Path) -> None:
    words = ("reconstruct", photo, "-o", tmp_path / "out.mat", "--precision", "fp32")
    out, _ = run(*words, "--white", "2,3,12,20", "--ensemble")
    cube = nd.read_cube(tmp_path / "out.mat")
    with pytest.warns(Notice, match="is unlike what photo learned from"):
        again = nd.reconstruct(photo, white=(2, 3, 12, 20), ensemble=True, precision="fp32")
    np.testing.assert_allclose(cube, again, atol=1e-5)
    red, green, blue = cube.attrs["white_gains"]
    assert f"white patch gains {red:.3g} {green:.3g} {blue:.3g}" in out
    assert f"flip disagreement {cube.attrs['flip_disagreement_mean']:.1%} on average" in out
    _, err = run(*words, "--white", "2,3,twelve,20", code=2)
    assert "TOP,LEFT,BOTTOM,RIGHT" in err
    _, err = run(*words, "--white", "2,3,12,99", code=2)
    assert "reaches beyond the image of 20 x 30 pixels" in err


def test_many_photos_go_on_past_a_bad_one(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(photo.read_bytes()[:300])
    Image.open(photo).save(tmp_path / "third.png")
    images = (photo, tmp_path / "broken.jpg", tmp_path / "third.png")
    out, err = run("reconstruct", *images, "-o", tmp_path / "cubes", "-m", "linear", code=2)
    assert {path.name for path in (tmp_path / "cubes").iterdir()} == {"photo.mat", "third.mat"}
    assert out.count(".mat") == 2
    assert "1 of 3 files failed" in err.splitlines()[-1]
    assert "broken.jpg" in err.splitlines()[-1]


def test_simulate_and_evaluate_belong_together(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    for seed in (1, 2):
        nd.write_cube(tmp_path / "truth" / f"scene_{seed}.mat", synthetic_scene(48, 64, seed=seed))
    cubes = sorted((tmp_path / "truth").iterdir())
    run("simulate", *cubes, "-o", tmp_path / "rgb", "--camera", "photo", "--jpeg-quality", "90")
    csv = tmp_path / "scores.csv"
    out, _ = run("evaluate", "--rgb", tmp_path / "rgb", "--truth", tmp_path / "truth", "--model", "linear", "--csv", csv)
    assert "MRAE@0.01" in out
    assert "scene_2" in out
    assert csv.exists()
    assert "flip rho" not in out
    pair = ("--rgb", tmp_path / "rgb", "--truth", tmp_path / "truth")
    out, _ = run("evaluate", *pair, "--precision", "fp32", "--ensemble", "--csv", csv)
    assert "flip rho is the rank correlation" in out
    assert "flip rho" in csv.read_text(encoding="utf-8").splitlines()[3]


def test_simulate_keeps_what_is_the_cameras_own(tmp_path: Path) -> None:
    scene = synthetic_scene(48, 64)
    nd.write_cube(tmp_path / "scene.mat", scene)
    (tmp_path / "mine.csv").write_text("400,0,0.1,1\n550,0,1,0\n700,1,0.1,0\n", encoding="utf-8")
    for camera in ("ntire2022", "ntire2020-clean", "ntire2020-real", str(tmp_path / "mine.csv")):
        made = find_camera(camera)
        photo = tmp_path / f"{made.name}{made.suffix}"
        out, _ = run("simulate", tmp_path / "scene.mat", "-o", photo, "--camera", camera)
        assert f"camera {made.name}" in out
        assert np.array_equal(nd.read_rgb(photo), made.render(scene))
    quiet = ("--photo-electrons", "0", "--read-noise", "0", "--jpeg-quality", "0", "--exposure", "0.5")
    run("simulate", tmp_path / "scene.mat", "-o", tmp_path / "quiet.png", "--camera", "ntire2020-real", *quiet)
    changed = find_camera("ntire2020-real").with_settings(photo_electrons=None, read_noise=0, jpeg_quality=None, exposure=0.5)
    assert np.array_equal(nd.read_rgb(tmp_path / "quiet.png"), changed.render(scene))


def test_a_scene_under_a_lamp_comes_with_its_true_cube(tmp_path: Path) -> None:
    scene = synthetic_scene(48, 64)
    nd.write_cube(tmp_path / "scene.mat", scene)
    into = ("-o", tmp_path / "rgb", "--cubes", tmp_path / "truth")
    out, _ = run("simulate", tmp_path / "scene.mat", *into, "--light", "FL2", "--camera", "ntire2022")
    assert "camera ntire2022, light FL2" in out
    truth = nd.read_cube(tmp_path / "truth" / "scene.mat")
    xr.testing.assert_allclose(truth, nd.relight(scene, "FL2"))
    assert (truth.attrs["quantity"], truth.attrs["illuminant"]) == ("radiance", "FL2")
    assert np.array_equal(nd.read_rgb(tmp_path / "rgb" / "scene.jpg"), find_camera("ntire2022").render(truth))


def test_exposure_is_in_image_and_cube_alike(tmp_path: Path) -> None:
    scene = synthetic_scene(48, 64)
    nd.write_cube(tmp_path / "scene.mat", scene)
    run("simulate", tmp_path / "scene.mat", "-o", tmp_path / "dark.jpg", "--exposure", "0.5", "--cubes", tmp_path)
    truth = nd.read_cube(tmp_path / "dark.mat")
    xr.testing.assert_allclose(truth, 0.5 * scene)
    xr.testing.assert_allclose(truth * truth.attrs["scale"], scene)
    assert np.array_equal(nd.read_rgb(tmp_path / "dark.jpg"), find_camera("photo").render(truth))


def test_a_table_of_responses_makes_finished_photos(tmp_path: Path) -> None:
    scene = synthetic_scene(48, 64)
    nd.write_cube(tmp_path / "scene.mat", scene)
    (tmp_path / "mine.csv").write_text("400,0,0.1,1\n550,0,1,0\n700,1,0.1,0\n", encoding="utf-8")
    camera = ("--camera", tmp_path / "mine.csv", "--encoding", "srgb", "--jpeg-quality", "90")
    run("simulate", tmp_path / "scene.mat", "-o", tmp_path / "mine.jpg", *camera)
    finished = find_camera(tmp_path / "mine.csv").with_settings(encoding="srgb", jpeg_quality=90)
    assert np.array_equal(nd.read_rgb(tmp_path / "mine.jpg"), finished.render(scene))


def test_models_are_listed_and_their_cards_printed() -> None:
    assert all(name in run("models")[0] for name in ("photo", "linear", "polynomial"))
    card, _ = run("models", "photo")
    assert all(f"{field}:" in card for field in ("data", "split", "recipe", "limits", "licence", "scores", "sha256"))


def test_networks_are_listed_for_people_and_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out, _ = run("models", "--networks", "--json", tmp_path / "networks.json")
    assert max(map(len, out.splitlines()[:-3])) <= 100
    assert "9.48" in next(line for line in out.splitlines() if "DRCR Net" in line)  # million parameters as published
    found = {network["id"]: network for network in json.loads((tmp_path / "networks.json").read_text(encoding="utf-8"))}
    assert found.keys() == {architecture.id for architecture in architectures() if architecture.trainable}
    published = found["drcr"]["presets"]["published"]
    assert published["parameters"] == 9_478_482
    assert published["settings"]["channels"] == 100
    one, _ = run("models", "--network", "lfb")
    assert all(sentence in one for sentence in find_architecture("lfb").assumptions)
    assert "preset" in one
    assert "published" in one
    assert "there is no network 'nobody'" in run("models", "--network", "nobody", code=2)[1]
    assert "does not learn by steps" in run("models", "--network", "pixel_map", code=2)[1]
    assert "choose one of them" in run("models", "photo", "--networks", code=2)[1]
    assert "add --networks" in run("models", "photo", "--json", tmp_path / "x.json", code=2)[1]


def test_a_card_tells_what_was_assumed_of_its_network(tmp_path: Path) -> None:
    network = find_architecture("lfb")
    settings = network.presets["small"]
    card = Card(name="mine", architecture="lfb", settings=settings.model_dump(exclude={"architecture"}))
    nd.save_model(tmp_path / "mine.safetensors", Model(card, network.build(settings, 31)))
    told, _ = run("models", tmp_path / "mine.safetensors")
    assert f"assumed of the network: {network.assumptions[0]}" in told
    assert "assumed" not in run("models", "photo")[0]


def test_the_network_of_a_run_is_chosen_by_its_name(tmp_path: Path) -> None:
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / "data" / split).mkdir(parents=True)
        nd.write_cube(tmp_path / "data" / split / f"scene_{seed}.mat", synthetic_scene(32, 48, seed=seed))
    config = tmp_path / "config.yaml"
    config.write_text("network: {channels: 8}\ndata: {patch: 16}\nlearning: {batch: 1, steps: 2}", encoding="utf-8")
    run("train", config, "--network", "edsr", "--data", tmp_path / "data", "-o", tmp_path / "run", "-d", "cpu")
    model = nd.load_model(tmp_path / "run" / "model.safetensors")
    assert model.settings == find_architecture("edsr").presets["small"]
    assert f"Adam {model.architecture.learning_rate:g}, " in model.card.recipe
    _, err = run("train", config, "--network", "edsr:huge", "--data", tmp_path / "data", code=2)
    assert "EDSR has no preset 'huge'; there is" in err
    _, err = run("train", "fine-tune", "--network", "edsr", "--data", tmp_path / "data", code=2)
    assert "differs from that of learning.start_from" in err
    _, err = run("train", "--resume", tmp_path / "run", "--network", "edsr", code=2)
    assert "leave out everything else" in err


def test_help_and_version() -> None:
    assert "reconstruct" in run("--help")[0]
    assert run("--version")[0].strip() == f"napari-drcr {nd.__version__}"


def test_bad_input_ends_with_one_sentence_and_code_2(photo: Path, tmp_path: Path) -> None:
    def complaint(*words: object) -> str:
        _, err = run(*words, code=2)
        lines = [line for line in err.splitlines() if line]
        assert len(lines) == 1, err
        assert lines[0].startswith("Error: ")
        return lines[0]

    out = tmp_path / "out.mat"
    missing = ("reconstruct", tmp_path / "missing.jpg", "-o", out)
    assert "no such file" in complaint(*missing)
    assert run_alone(*missing, code=2) == run(*missing, code=2)
    assert "no model 'foto'" in complaint("reconstruct", photo, "-o", out, "-m", "foto")
    assert "no device 'tpu'" in complaint("reconstruct", photo, "-o", out, "-d", "tpu")
    assert "cannot hold several results" in complaint("reconstruct", photo, tmp_path / "b.jpg", "-o", out)
    assert "would both be written" in complaint("reconstruct", photo, tmp_path / "x" / "photo.png", "-o", tmp_path)
    assert "no camera 'leica'" in complaint("simulate", photo, "-o", tmp_path, "--camera", "leica")
    assert "there is no file" in complaint("simulate", photo, "-o", tmp_path, "--camera", tmp_path / "gone.csv")
    assert "no cube" in complaint("simulate", photo, "-o", tmp_path / "x.jpg")
    assert "add --jpeg-quality 0" in complaint("simulate", photo, "-o", tmp_path / "x.png")
    assert "is not a folder" in complaint("evaluate", "--rgb", tmp_path / "a", "--truth", tmp_path)
    assert "no configuration file" in complaint("train", tmp_path / "config.yaml")
    assert "no data folder" in complaint("train", "-o", tmp_path / "run")
    assert "leave out everything else" in complaint("train", "--resume", tmp_path, "--steps", "5")
    assert not out.exists()


def test_inputs_are_never_overwritten(photo: Path, tmp_path: Path) -> None:
    cube = tmp_path / "cube.mat"
    nd.write_cube(cube, synthetic_scene(48, 64))
    before = photo.read_bytes()
    (tmp_path / "photo_cube").mkdir()
    nd.write_cube(tmp_path / "photo_cube" / "photo.mat", synthetic_scene(48, 64))
    run("simulate", tmp_path / "photo_cube" / "photo.mat", cube, photo, "-o", tmp_path, code=2)
    assert photo.read_bytes() == before


def test_lights_and_cubes_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path) -> None:
    scene = tmp_path / "scene.mat"
    nd.write_cube(scene, synthetic_scene(48, 64))
    nd.write_cube(tmp_path / "lit.mat", nd.relight(synthetic_scene(48, 64), "A"))
    before = scene.read_bytes()
    for words, sentence in (
        (("--light", "candle"), "there is no light 'candle'; there is A, "),
        (("--camera", "ntire2022", "--exposure", "2"), "camera ntire2022 sets its exposure automatically"),
        (("--encoding", "gamma"), "encoding must be srgb or linear, not 'gamma'"),
        (("--cubes", tmp_path), "scene.mat is one of the inputs and would be overwritten"),
        (("--cubes", scene), "scene.mat is not a folder"),
        (("--cubes", tmp_path / "new.mat"), "new.mat is not a folder"),
    ):
        _, err = run("simulate", scene, "-o", tmp_path / "rgb", *words, code=2)
        assert sentence in err.splitlines()[-1]
        assert len(err.splitlines()) == 1
    _, err = run("simulate", tmp_path / "lit.mat", "-o", tmp_path / "rgb", "--light", "A", code=2)
    assert "this cube holds radiance, which has a light already" in err
    assert not list((tmp_path / "rgb").iterdir())
    assert scene.read_bytes() == before


def test_train_and_resume_and_use(tmp_path: Path) -> None:
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / "data" / split).mkdir(parents=True)
        nd.write_cube(tmp_path / "data" / split / f"scene_{seed}.mat", synthetic_scene(48, 64, seed=seed))
    config = tmp_path / "config.yaml"
    config.write_text(
        "name: tiny\nnetwork: {channels: 8, blocks: 1}\ndata: {patch: 16}\nlearning: {batch: 2, validate_every: 2}\n",
        encoding="utf-8",
    )
    run("train", config, "--data", tmp_path / "data", "--steps", "4", "-o", tmp_path / "run", "-d", "cpu")
    out, _ = run("train", "--resume", tmp_path / "run")
    assert "model.safetensors" in out
    assert "tiny" in run("models", tmp_path / "run" / "model.safetensors")[0]
