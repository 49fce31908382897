"""Training trains, every sample is a pure function of seed and index, and a resumed run goes on as if never stopped."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import napari_drcr as nd
from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS, relight
from napari_drcr.models.store import save_model
from napari_drcr.training.callbacks.recorder import Progress
from napari_drcr.training.config import check_config, describe_preset, make_config, presets, read_config, write_config
from napari_drcr.training.data import Patches
from napari_drcr.training.jobs.records import read_losses, read_metrics
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.scenes import cache_scenes
from napari_drcr.training.sections import TrainingConfig

CASES = Path(__file__).parent / "cases"
STEPS = 6
pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    for split, seeds in (("Train_spectral", (1, 2)), ("Valid_spectral", (3,))):
        (folder / split).mkdir(parents=True)
        for seed in seeds:
            nd.write_cube(folder / split / f"scene_{seed}.mat", synthetic_scene(48, 64, seed=seed))
    return folder


@pytest.fixture
def config(scenes: Path) -> TrainingConfig:
    return make_config(
        {
            "name": "tiny",
            "device": "cpu",
            "network": {"channels": 8, "blocks": 1},
            "data": {"folder": str(scenes), "patch": 16},
            "learning": {
                "steps": STEPS,
                "batch": 2,
                "validate_every": 2,
                "warmup_steps": 0,
                "learning_rate": 0.01,
                "precision": "fp32",
                "ema_decay": 0.5,
            },
        }
    )


def test_a_run_learns_and_leaves_a_folder_and_a_model(config: TrainingConfig, tmp_path: Path) -> None:
    config = make_config(config.model_dump(), learning__steps=45, learning__validate_every=15)
    steps: list[tuple[int, int]] = []
    model_path = start_run(config, tmp_path / "run", progress=lambda step, total, _: steps.append((step, total)))
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [15, 30, 45]
    assert rows[-1]["mrae"] < min(rows[0]["mrae"], 0.7)  # an untrained network is near 1
    assert steps[-1] == (45, 45)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.yaml", "status.json", "metrics.csv", "losses.csv", "preview.npz", "log.txt", "run.lock", "checkpoints",
        "model.safetensors",
    }  # fmt: skip
    model = nd.load_model(model_path)
    assert (model.name, model.channels, model.card.quantity) == ("tiny", 8, "reflectance")
    assert (model.encoding, model.normalisation) == ("linear", "white")
    assert "scene_3" in model.card.split
    assert model.card.scores == {"validation MRAE@0.01": pytest.approx(min(row["mrae"] for row in rows), abs=1e-4)}
    assert nd.reconstruct(np.full((16, 16, 3), 99, np.uint8), model=model_path).attrs["model"] == "tiny"


def test_a_killed_and_resumed_run_follows_the_uninterrupted_one_to_the_bit(config: TrainingConfig, tmp_path: Path) -> None:
    start_run(config, tmp_path / "whole")

    def kill_at_five(step: int, total: int, text: str) -> None:
        if step == 5:
            raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        start_run(config, tmp_path / "killed", progress=kill_at_five)
    assert [row["step"] for row in read_metrics(tmp_path / "killed")] == [2, 4]
    resume_run(tmp_path / "killed")
    learned = [
        [(row["step"], row["loss"], row["mrae"]) for row in read_metrics(tmp_path / name)] for name in ("whole", "killed")
    ]
    assert learned[0] == learned[1]
    whole, killed = (
        nd.load_model(tmp_path / name / "model.safetensors").estimator.state_dict() for name in ("whole", "killed")
    )
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_a_run_stopped_at_any_step_goes_on_to_the_bit(config: TrainingConfig, tmp_path: Path) -> None:
    config = make_config(config.model_dump(), learning__steps=10, learning__validate_every=4)
    start_run(config, tmp_path / "whole")
    folder = tmp_path / "stopped"

    def stop_at(wanted: int) -> Progress:
        return lambda step, *_: (folder / "STOP").touch() if step == wanted else None

    # After steps 4 and 8 it is validating: it leaves that, and repeats the step before it.
    for wanted, kept in enumerate((1, 2, 3, 3, 5, 6, 7, 7, 9), start=1):
        (folder / "STOP").touch() if folder.exists() else None  # left over: it cannot be meant for what starts only now
        with pytest.raises(nd.Cancelled, match=f"stopped at step {kept}"):
            resume_run(folder, progress=stop_at(wanted)) if wanted > 1 else start_run(config, folder, progress=stop_at(1))
        assert not (folder / "STOP").exists()
    resume_run(folder)
    assert np.array_equal(read_losses(folder), read_losses(tmp_path / "whole"))
    assert [row["step"] for row in read_metrics(folder)] == [4, 8, 10]
    learned = [[(row["loss"], row["mrae"]) for row in read_metrics(tmp_path / name)] for name in ("whole", "stopped")]
    assert learned[0] == learned[1]


def test_a_sample_depends_on_seed_and_index_only(config: TrainingConfig) -> None:
    training, _ = cache_scenes(config.data)
    first, second = Patches(training, config), Patches(training, config)
    for _ in range(3):
        first[0]
    assert all(torch.equal(one, two) for one, two in zip(first[7], second[7], strict=True))
    other = Patches(training, make_config(config.model_dump(), seed=1))
    assert not torch.equal(first[7][0], other[7][0])
    assert not torch.equal(first[7][0], first[8][0])


def test_worker_processes_change_nothing(config: TrainingConfig, tmp_path: Path) -> None:
    with_workers = make_config(config.model_dump(), data__workers=2, learning__steps=2)
    start_run(make_config(config.model_dump(), learning__steps=2), tmp_path / "alone")
    start_run(with_workers, tmp_path / "workers")
    assert read_metrics(tmp_path / "alone")[0]["loss"] == read_metrics(tmp_path / "workers")[0]["loss"]


def test_a_patch_shows_what_the_cube_holds(config: TrainingConfig) -> None:
    training, _ = cache_scenes(config.data)
    clean = {"exposure": (1, 1), "photo_electrons": (1e9, 1e9), "read_noise": 0, "uncompressed": 1}
    rgb, cube = Patches(training, make_config(config.model_dump() | {"camera": clean}))[3]
    assert rgb.shape == (3, 16, 16)
    expected = nd.Camera(name="plain").response(nd.load_model("linear").wavelengths, "reflectance")
    linear = np.tensordot(cube.numpy(), expected, axes=(0, 0)).clip(0, 1)
    np.testing.assert_allclose(np.moveaxis(rgb.numpy(), 0, -1), linear, atol=0.01)


def test_scenes_that_differ_in_their_data_file_alone_are_two(config: TrainingConfig, tmp_path: Path) -> None:
    for split, seeds in (("Train_spectral", (1, 2)), ("Valid_spectral", (3,))):
        (tmp_path / "envi" / split).mkdir(parents=True)
        for seed in seeds:
            cube = synthetic_scene(48, 64, seed=seed).assign_attrs(seed=None)
            nd.write_cube(tmp_path / "envi" / split / f"scene_{seed}.hdr", cube)
    training, validation = cache_scenes(make_config(config.model_dump(), data__folder=tmp_path / "envi").data)
    assert [scene.name for scene in training + validation] == ["scene_1", "scene_2", "scene_3"]
    assert len({scene.cached for scene in training + validation}) == 3


def test_automatic_exposure_is_that_of_the_whole_scene_and_leaves_cubes_alone(config: TrainingConfig) -> None:
    training, _ = cache_scenes(config.data)
    clean = {"name": "ntire2022", "photo_electrons": (1e9, 1e9), "read_noise": 0, "uncompressed": 1}
    patches = Patches(training, make_config(config.model_dump() | {"camera": clean}))
    camera = find_camera("ntire2022")
    response = camera.response(nd.load_model("linear").wavelengths, "reflectance")
    gains = [0.18 / float((scene.values().astype(float).mean(axis=(1, 2)) @ response).mean()) for scene in training]
    for index in range(4):
        rgb, cube = patches[index]
        linear = np.tensordot(cube.numpy(), response, axes=(0, 0))
        errors = [np.abs(np.moveaxis(rgb.numpy(), 0, -1) - (gain * linear).clip(0, 1)).max() for gain in gains]
        assert min(errors) < 2 / 255
        values = cube.numpy().astype(np.float16)
        assert any(np.isin(values[:, 0, 0], scene.values()).all() for scene in training)


def test_a_model_of_a_linear_camera_takes_images_as_they_are(config: TrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("400,0.1,0.1,1\n550,0.2,1,0.2\n700,1,0.1,0.1\n", encoding="utf-8")
    for name in ("ntire2020-real", str(tmp_path / "mine.csv")):
        settings = make_config(config.model_dump() | {"camera": {"name": name}}, learning__steps=2)
        card = nd.load_model(start_run(settings, tmp_path / Path(name).stem)).card
        assert (card.encoding, card.camera) == ("as given", Path(name).stem)
        assert f"camera {Path(name).stem}, " in card.recipe


def test_a_scene_is_converted_once_and_the_size_of_it_told_before(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.warns(nd.errors.Notice, match=r"Up to 3 scenes .* about 1 MB in .*cache"):
        first, _ = cache_scenes(config.data)
    before = first[0].cached.stat().st_mtime_ns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache_scenes(config.data)
    assert cache_scenes(config.data)[0][0].cached.stat().st_mtime_ns == before


def test_a_configuration_survives_its_file(config: TrainingConfig, tmp_path: Path) -> None:
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config


def test_the_shipped_configurations_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The second stage of photo starts from what the first one leaves in the current folder.
    (tmp_path / "photo-drcr-start").mkdir()
    save_model(tmp_path / "photo-drcr-start" / "model.safetensors", nd.load_model("photo-drcr"))
    monkeypatch.chdir(tmp_path)
    for path in (Path(__file__).parents[1] / "configs").glob("*.yaml"):
        assert read_config(path).name == path.stem
    assert list(presets()) == ["fine-tune", "paper", "small"]
    paper = read_config("paper")
    assert (paper.network.channels, paper.network.blocks, paper.data.stride, paper.learning.beta2) == (100, 10, 64, 0.99)
    assert read_config("fine-tune").network.blocks == nd.load_model("photo").blocks


def test_a_run_starts_from_a_model(config: TrainingConfig, tmp_path: Path) -> None:
    first = start_run(config, tmp_path / "first")
    content = config.model_dump(exclude={"network"})
    slow = {"learning__steps": 1, "learning__learning_rate": 1e-9, "learning__start_from": str(first)}
    second = start_run(make_config(content, **slow), tmp_path / "second")
    weights = [nd.load_model(path).estimator.state_dict() for path in (first, second)]
    assert all(torch.allclose(weights[0][name], weights[1][name]) for name in weights[0])
    first.unlink()
    (tmp_path / "second" / "checkpoints" / "last.ckpt").unlink()
    assert nd.load_model(resume_run(tmp_path / "second")).card == nd.load_model(second).card  # from its own copy
    start_run(config, tmp_path / "again").rename(first)
    with pytest.raises(nd.InputError, match=r"network is .* differs from that of learning\.start_from .*channels=8"):
        make_config(config.model_dump(), **slow, network={"channels": 16})
    with pytest.raises(nd.InputError, match="start_from is 'linear': model linear is a per-pixel map"):
        make_config(content, learning__start_from="linear")
    with pytest.raises(nd.InputError, match="start_from is 'nobody': there is no model"):
        make_config(content, learning__start_from="nobody")


@pytest.mark.parametrize("layout", ["ARAD", "MST++", "CAVE", "side by side"])
def test_layouts_of_data_folders_are_known(layout: str, config: TrainingConfig, tmp_path: Path) -> None:
    """Cubes, images and split, as the data sets are laid out; the CAVE folders are 16-bit PNG files."""
    folder = tmp_path / layout
    camera = find_camera("photo")
    for seed in (1, 2, 3):
        cube, held_back = synthetic_scene(48, 64, seed=seed), seed == 3
        if layout == "CAVE":
            side = folder / f"scene_{seed}_ms"
            side.mkdir(parents=True)
            for number, band in enumerate(cube.values, start=1):
                Image.fromarray((band.clip(0, 1) * 65535).astype(np.uint16)).save(side / f"scene_{seed}_ms_{number:02d}.png")
            Image.fromarray(camera.render(cube)).save(side / f"scene_{seed}_RGB.bmp")
            continue
        spectral, images = {
            "ARAD": ("Valid_spectral", "Valid_RGB") if held_back else ("Train_spectral", "Train_RGB"),
            "MST++": ("Train_Spec", "Train_RGB"),
            "side by side": (".", "."),
        }[layout]
        for name in (spectral, images):
            (folder / name).mkdir(parents=True, exist_ok=True)
        nd.write_cube(folder / spectral / f"scene_{seed}.mat", cube)
        (folder / images / f"scene_{seed}.jpg").write_bytes(camera.photograph(cube))
    if layout == "MST++":
        (folder / "split_txt").mkdir()
        (folder / "split_txt" / "valid_list.txt").write_text("scene_3\n", encoding="utf-8")
    names = ("scene_3",) if layout in ("CAVE", "side by side") else ()
    settings = make_config(config.model_dump(), data__folder=folder, data__rgb="files", data__validation=names)
    training, validation = cache_scenes(settings.data)
    assert [[scene.name for scene in side] for side in (training, validation)] == [["scene_1", "scene_2"], ["scene_3"]]
    rgb, cube = Patches(training, settings)[5]
    linear = np.tensordot(cube.numpy(), camera.response(WAVELENGTHS, "reflectance"), axes=(0, 0)).clip(0, 1)
    assert np.abs(np.moveaxis(rgb.numpy(), 0, -1) - linear).mean() < 0.03  # JPEG, and nothing turned another way
    card = nd.load_model(start_run(settings, tmp_path / "run")).card
    assert (card.encoding, card.normalisation) == ("linear", "white")
    assert "images of the folder" in card.recipe


def test_images_of_the_folder_must_match_their_cubes(config: TrainingConfig, scenes: Path) -> None:
    from_files = make_config(config.model_dump(), data__rgb="files")
    with pytest.raises(nd.InputError, match="scene scene_1 has no image of the same name"):
        cache_scenes(from_files.data)
    for split, seeds in (("Train", (1, 2)), ("Valid", (3,))):
        (scenes / f"{split}_RGB").mkdir()
        for seed in seeds:
            Image.new("RGB", (64, 40)).save(scenes / f"{split}_RGB" / f"scene_{seed}.png")
    with pytest.raises(nd.InputError, match=r"scene_1\.mat has 48 x 64 pixels, its image scene_1\.png 40 x 64"):
        cache_scenes(from_files.data)


def test_lamps_make_radiance_of_reflectance(config: TrainingConfig, tmp_path: Path) -> None:
    clean = {"name": "ntire2022", "photo_electrons": (1e9, 1e9), "read_noise": 0, "uncompressed": 1}
    lit = make_config(config.model_dump() | {"camera": clean}, data__lights=("A", "D65", "FL2"))
    training, _ = cache_scenes(lit.data)
    camera = find_camera("ntire2022")
    expected = [relight(nd.read_cube(lit.data.folder / "Train_spectral" / f"{scene.name}.mat"), light)
                for scene in training for light in lit.data.lights]  # fmt: skip
    for index in range(6):
        rgb, cube = (part.numpy() for part in Patches(training, lit)[index])
        brightest = cube.reshape(31, -1)[:, cube.sum(axis=0).argmax()]
        nearest = [np.abs(whole.values - brightest[:, None, None]).max(axis=0).min() for whole in expected]
        assert min(nearest) < 1e-3
        whole = expected[int(np.argmin(nearest))]
        response = camera.response(WAVELENGTHS, "radiance")
        gain = 0.18 / float((whole.values.mean(axis=(1, 2)) @ response).mean())
        linear = (gain * np.tensordot(cube, response, axes=(0, 0))).clip(0, 1)
        assert np.abs(np.moveaxis(rgb, 0, -1) - linear).max() < 3 / 255
    card = nd.load_model(start_run(lit, tmp_path / "run")).card
    assert (card.quantity, card.encoding) == ("radiance", "as given")
    assert "lit with A, D65, FL2" in card.recipe


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("learning: {steps: 0}", r"learning\.steps is 0"),
        ("learning: {speed: 3}", r"learning\.speed is 3"),
        ("data: {patch: 40}", r"data\.patch is 40: .*multiple of 16"),
        ("camera: {exposure: [2, 1]}", r"camera\.exposure is \[2, 1\]: .*the smaller first"),
        ("camera: {exposure: [1, .inf]}", r"camera\.exposure is \[1, inf\]"),
        ("camera: {jpeg_quality: [150, 200]}", r"camera\.jpeg_quality is 150"),
        ("network: {channels: 8, reduction: 16}", "reduction 16 leaves nothing of 8 channels"),
        ("name: ../../x", "name is '../../x'"),
        ("seed: 4294967296", "seed is 4294967296"),
        ("camera: {name: leica}", r"camera\.name is 'leica': there is no camera"),
        ("camera: {name: gone.csv}", r"camera\.name is 'gone\.csv': there is no file"),
        ("camera: {name: ntire2022, exposure: [0.5, 1.5]}", r"camera\.exposure is \[0\.5, 1\.5\]: camera .* leave it out"),
        ("data: {lights: [candle]}", r"data\.lights is \['candle'\]: there is no light 'candle'"),
        ("data: {rgb: files, lights: [A]}", "lights need a camera"),
        ("data: {normalisation: maximum}", "a camera makes them here"),
        ("- a\n- b", "holds list"),
        ("a: [", "not a YAML file"),
    ],
)
def test_a_wrong_configuration_names_its_field(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(nd.InputError, match=sentence):
        read_config(path)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("bomb", r"the alias \*a0 in line 2 is not supported"),
        ("bomb6", r"the alias \*a0 in line 2 is not supported"),
        ("deep", "line 1 is nested more than 16 deep"),
        ("deepmap", "line 1 is nested more than 16 deep"),
        ("bigint", "line 1 holds '1111.*1111', which cannot be read as int"),
        ("bool", "line 1 holds 'foo', which cannot be read as bool"),
        ("int", "line 1 holds '', which cannot be read as int"),
        ("timestamp", "line 1 holds '2001-13-45', which cannot be read as timestamp"),
        ("ts2", "line 1 holds 'foo', which cannot be read as timestamp"),
        ("dupkeys", "'learning' is there twice"),
    ],
)
def test_a_strangers_configuration_is_refused_at_once(case: str, sentence: str, tmp_path: Path) -> None:
    content = (CASES / f"y_{case}.yaml").read_bytes()
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(nd.InputError, match=rf"^config\.yaml: {sentence}") as refusal:
        resume_run(tmp_path)
    assert len(str(refusal.value)) < 300


def test_long_values_and_files_are_not_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for content in (f"name: /{'x' * 5000}", f"learning: {{steps: [{'[x], ' * 2000}]}}", f"camera: {{name: {'x' * 5000}.csv}}"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(nd.InputError) as refusal:
            read_config(path)
        assert len(str(refusal.value)) < 700
    path.write_text("seed: 0x" + "f" * 5000, encoding="utf-8")
    with pytest.raises(nd.InputError, match=r"line 1 holds the number .*, which is too large"):
        read_config(path)
    path.write_text("#" * 2**17 + "\n", encoding="utf-8")
    with pytest.raises(nd.InputError, match="longer than 128 KB"):
        read_config(path)


def test_everything_that_is_wrong_is_said_of_its_field() -> None:
    wrong = {
        "name": "../x",
        "data": {"rgb": "files", "lights": ["A"], "patch": 70},
        "camera": {"jpeg_quality": [150, 200], "name": "leica", "exposure": [1, 2]},
        "learning": {"steps": 0, "start_from": "nobody"},
        "colour": "blue",
    }
    errors = check_config(wrong)
    assert set(errors) == {
        "name",
        "data.lights",
        "data.patch",
        "camera.name",
        "camera.jpeg_quality",
        "learning.steps",
        "learning.start_from",
        "colour",
    }
    assert errors["learning.steps"] == "Input should be greater than or equal to 1."
    assert errors["data.lights"] == "Lights need a camera, but the images come from files."
    assert list(check_config({"network": {"channels": 16}, "learning": {"start_from": "photo"}})) == ["network"]
    assert check_config({1: 2}) == {"": "Keys should be strings."}
    assert check_config({"network": None, "learning": {"start_from": "photo"}}) == {}


def test_presets_say_what_they_are() -> None:
    assert [describe_preset(name)[0] for name in presets()] == ["Fine-tune photo", "Paper (100 x 10)", "Small"]
    assert all(describe_preset(name)[1].endswith(".") for name in presets())


def test_an_empty_section_takes_overrides(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: tiny\ndata:\n", encoding="utf-8")
    assert read_config(path, data__folder=tmp_path).data.folder == tmp_path


def test_a_run_that_diverges_says_so(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match=r"loss is .* at step .*: choose a lower learning\.learning_rate"):
        start_run(make_config(config.model_dump(), learning__learning_rate=1e30), tmp_path / "run")
    with pytest.raises(nd.InputError, match=r"lower learning\.validation_floor"):
        start_run(make_config(config.model_dump(), learning__validation_floor=5), tmp_path / "other")


def test_data_that_cannot_be_trained_on_is_refused(config: TrainingConfig, scenes: Path, tmp_path: Path) -> None:
    def start(**overrides: object) -> None:
        start_run(make_config(config.model_dump(), **overrides), tmp_path / "run")

    with pytest.raises(nd.InputError, match="does not exist"):
        start(data__folder=tmp_path / "nowhere")
    with pytest.raises(nd.InputError, match=r"smaller than data\.patch = 64"):
        start(data__patch=64)
    with pytest.raises(nd.InputError, match=r"names scene_9"):
        start(data__validation=["scene_9"])
    with pytest.raises(nd.InputError, match="0 validation cubes"):
        start(data__folder=scenes / "Train_spectral")
    with pytest.raises(nd.InputError, match="no device 'cuda:9'"):
        start(device="cuda:9")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(nd.InputError, match="exists already"):
        start()
    with pytest.raises(nd.InputError, match=r"no run folder: it has no config\.yaml"):
        resume_run(tmp_path / "run")


def test_a_checkpoint_from_a_stranger_runs_no_code(config: TrainingConfig, tmp_path: Path) -> None:
    start_run(config, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | {"surprise": Path}, checkpoint)
    with pytest.raises(nd.InputError, match="could run code"):
        resume_run(tmp_path / "run")
    torch.save({"state_dict": {}}, checkpoint)
    with pytest.raises(nd.InputError, match="no checkpoint of a run"):
        resume_run(tmp_path / "run")


def test_metrics_are_a_table_that_spreadsheets_open(config: TrainingConfig, tmp_path: Path) -> None:
    start_run(config, tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["step", "loss", "mrae", "learning_rate", "seconds"]
