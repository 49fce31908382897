"""A model says where an image is unlike what it learned from: in the library, on the command line and in the dock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import napari
import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from safetensors.numpy import load_file, save_file

import napari_drcr as nd
from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cli import main
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import Notice
from napari_drcr.models.familiarity import (
    FAR,
    FEATURES,
    FEWEST,
    Familiarity,
    block_edges,
    calibrate,
    describe_blocks,
    iter_describe,
)
from napari_drcr.models.store import Model, add_familiarity, rewrite_card, save_model
from napari_drcr.training.config import make_config
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.sections import TrainingConfig
from napari_drcr.widgets.reconstruct.familiarity_note import AMBER
from napari_drcr.widgets.viewer.layers import layer_to_cube
from typed import run_main
from viewer_tools import open_widget, run

SIDE = 256


@cache
def photograph(seed: int) -> np.ndarray:
    """A photo (y, x, 3), uint8, of a synthetic scene."""
    camera, scene = find_camera("photo"), synthetic_scene(SIDE, SIDE, seed=seed)
    linear = np.tensordot(scene.values, camera.response(WAVELENGTHS, "reflectance"), axes=(0, 0))
    return camera.develop(linear, np.random.default_rng(seed))


def as_taken(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(find_camera("photo").decode(pixels), -1, 0)


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    learned = np.concatenate([describe_blocks(as_taken(photograph(seed))).reshape(-1, FEATURES) for seed in (1, 2)])
    found = calibrate(learned, [(learned, [describe_blocks(as_taken(photograph(seed))) for seed in (3, 4)])])
    assert found is not None
    return found


@pytest.fixture
def model(familiarity: Familiarity) -> Model:
    return replace(nd.load_model("linear"), familiarity=familiarity)


@pytest.fixture
def model_file(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    save_model(path, model)
    return path


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(10, 246, (100, 90, 3), dtype=np.uint8)


def test_a_scene_of_the_kind_is_familiar_and_noise_is_not(model: Model) -> None:
    known = nd.unfamiliarity(photograph(5), model)
    assert known.shape == (SIDE, SIDE)
    assert known.attrs["unfamiliar_share"] == (known.values > FAR).mean() < known.attrs["unfamiliar_limit"]
    assert not known.attrs["unfamiliar"]
    strange = nd.unfamiliarity(noise(), model)
    assert strange.attrs["unfamiliar_share"] == 1
    assert strange.attrs["unfamiliar"]
    assert "metamers" in strange.attrs["meaning"]


def test_about_a_tenth_of_held_out_blocks_are_unfamiliar(familiarity: Familiarity) -> None:
    blocks = [describe_blocks(as_taken(photograph(seed))) for seed in (3, 4)]
    assert (familiarity.nearer(np.stack(blocks)) > FAR).mean() == pytest.approx(1 - FAR, abs=0.02)


def test_the_map_follows_the_image(model: Model) -> None:
    pixels = photograph(1).copy()
    pixels[64:128, 96:160] = np.random.default_rng(0).integers(10, 246, (64, 64, 3))
    unlike = nd.unfamiliarity(pixels, model).values > FAR
    assert unlike[64:128, 96:160].all()
    assert unlike.mean() < 0.2


def test_a_cube_carries_what_the_function_gives(model: Model) -> None:
    pixels = noise()
    with pytest.warns(Notice, match="100% of the image is unlike what linear learned from"):
        cube = nd.reconstruct(pixels, model)
    expected = nd.unfamiliarity(pixels, model)
    np.testing.assert_array_equal(cube["unfamiliarity"], expected)
    assert cube.attrs["unfamiliar_share"] == expected.attrs["unfamiliar_share"]
    assert cube.attrs["unfamiliar"] is True


def test_an_image_in_rows_gives_what_its_parts_give() -> None:
    image = np.random.default_rng(0).random((3, 141, 100), dtype=np.float32)
    whole = describe_blocks(image)
    assert len(list(iter_describe(image))) == len(whole) == 4
    for rows, (top, bottom) in zip(whole, zip(block_edges(141)[:-1], block_edges(141)[1:], strict=True), strict=True):
        np.testing.assert_allclose(describe_blocks(image[:, top:bottom])[0], rows, rtol=1e-12)
    np.testing.assert_allclose(describe_blocks(image[:, 32:64, 32:64])[0, 0], whole[1, 1], rtol=1e-5)


def test_features_are_those_of_their_definition() -> None:
    image = np.random.default_rng(0).random((3, 40, 33)).astype(np.float32)
    red, green, blue = np.log(image + 0.02)
    maps = np.stack([np.log(np.tensordot([0.2126, 0.7152, 0.0722], image, 1) + 0.02), red - green, blue - green])
    steps = [np.concatenate([np.diff(one, axis=0).ravel(), np.diff(one, axis=1).ravel()]) for one in maps]
    spread, step = maps.var(axis=(1, 2)), np.square(steps).mean(axis=1)
    spreads = np.sqrt([spread[0], spread[1] + spread[2], step[0], step[1] + step[2]])
    expected = [*maps.mean(axis=(1, 2)), *np.log(spreads + 0.005)]
    np.testing.assert_allclose(describe_blocks(image), [[expected]], rtol=1e-4)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("size", [(8, 8), (9, 200), (49, 47)])
def test_tiny_black_and_white_images_get_numbers(model: Model, size: tuple[int, int], value: int) -> None:
    pixels = np.full((*size, 3), value, np.uint8)
    with pytest.warns(Notice) if value else pytest.MonkeyPatch.context():
        found = nd.unfamiliarity(pixels, model)
    assert found.shape == size
    assert np.isfinite(found).all()


def test_white_is_white_also_for_models_of_bytes(model: Model) -> None:
    bytes_model = replace(model, card=model.card.model_copy(update={"normalisation": "bytes"}))
    np.testing.assert_allclose(nd.unfamiliarity(noise(), bytes_model), nd.unfamiliarity(noise(), model), atol=1e-4)


def test_too_little_says_nothing() -> None:
    blocks = np.zeros((FEWEST - 1, FEATURES))
    assert calibrate(blocks, [(blocks, [blocks])]) is None
    assert calibrate(np.zeros((FEWEST, FEATURES)), []) is None


def test_equal_blocks_can_be_learned_from() -> None:
    blocks = np.zeros((FEWEST, FEATURES))
    found = calibrate(blocks, [(blocks, [blocks])])
    assert found is not None
    assert found.nearer(np.full((2, FEATURES), 5.0)).tolist() == [1, 1]


def test_several_folds_are_calibrated_together(familiarity: Familiarity) -> None:
    one, other = (describe_blocks(as_taken(photograph(seed))).reshape(-1, FEATURES) for seed in (1, 2))
    learned = np.concatenate([one, one, other])
    found = calibrate(learned, [(np.concatenate([one, one]), [other]), (np.concatenate([other, other]), [one])])
    assert found is not None
    np.testing.assert_array_equal(found.learned, learned.astype(np.float16))
    assert (np.diff(found.held_out) >= 0).all()
    assert found.held_out[0] > 0  # each block was held out, though the model has learned from it


def test_statistics_are_stored_with_the_model(model: Model, model_file: Path) -> None:
    loaded = nd.load_model(model_file)
    np.testing.assert_array_equal(nd.unfamiliarity(noise(), loaded), nd.unfamiliarity(noise(), model))
    rewrite_card(model_file, loaded.card.model_copy(update={"limits": "none"}))
    assert nd.load_model(model_file).familiarity is not None


def test_a_file_gets_statistics_and_loses_them_and_nothing_else_changes(familiarity: Familiarity, tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    save_model(path, nd.load_model("polynomial"))
    before = path.read_bytes()
    add_familiarity(path, familiarity)
    changed = nd.load_model(path)
    np.testing.assert_array_equal(changed.estimator.matrix, nd.load_model("polynomial").estimator.matrix)
    assert changed.familiarity is not None
    assert path.stat().st_size < 100_000
    add_familiarity(path, None)
    assert path.read_bytes() == before


def test_models_without_statistics_are_silent(tmp_path: Path) -> None:
    cube = nd.reconstruct(noise(), "linear")
    assert "unfamiliarity" not in cube.coords
    assert not {"unfamiliar", "unfamiliar_share"} & set(cube.attrs)
    with pytest.raises(nd.InputError, match="linear holds no statistics of the images that it learned from"):
        nd.unfamiliarity(noise(), "linear")


@pytest.mark.parametrize("damage", ["shape", "missing", "not finite", "order"])
def test_damaged_statistics_are_refused(model_file: Path, damage: str) -> None:
    tensors = load_file(model_file)
    if damage == "missing":
        del tensors["familiarity.limit"]
    elif damage == "shape":
        tensors["familiarity.learned"] = tensors["familiarity.learned"][:, :3].copy()
    elif damage == "not finite":
        tensors["familiarity.learned"][0] = np.nan
    else:
        tensors["familiarity.held_out"] = tensors["familiarity.held_out"][::-1].copy()
    save_file(tensors, model_file, metadata={"napari_drcr": nd.load_model("linear").card.model_dump_json()})
    with pytest.raises(nd.InputError, match=r"own\.safetensors has damaged statistics"):
        nd.load_model(model_file)


def test_the_command_line_names_unlike_images(model_file: Path, tmp_path: Path) -> None:
    for name, pixels in (("known", photograph(5)), ("noise", noise())):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    words = ["reconstruct", str(tmp_path / "known.png"), str(tmp_path / "noise.png"), "-o", str(tmp_path / "out")]
    out, err = run_main(main, *words, "-m", model_file)
    assert "noise.png: 100% of the image is unlike what linear learned from" in err
    assert "known.png:" not in err
    assert "; 100% unfamiliar" in out
    cube = nd.read_cube(tmp_path / "out" / "noise.mat")
    assert cube.attrs["unfamiliar_share"] == 1
    assert cube.attrs["unfamiliar"]


@pytest.fixture
def config(own_folders: None, tmp_path: Path) -> TrainingConfig:
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / "scenes" / split).mkdir(parents=True)
        nd.write_cube(tmp_path / "scenes" / split / f"scene_{seed}.mat", synthetic_scene(96, 96, seed=seed))
    return make_config(
        {
            "name": "tiny",
            "device": "cpu",
            "network": {"architecture": "drcr", "channels": 8, "blocks": 1},
            "data": {"folder": str(tmp_path / "scenes"), "patch": 64},
            "learning": {"steps": 4, "batch": 9, "validate_every": 4, "precision": "fp32", "warmup_steps": 0},
        }
    )


@pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice")
def test_a_run_keeps_what_it_learned_from_also_if_it_was_stopped(config: TrainingConfig, tmp_path: Path) -> None:
    def stop(step: int, steps: int, text: str) -> None:
        if step == 2:
            raise nd.Cancelled

    whole = nd.load_model(start_run(config, tmp_path / "whole")).familiarity
    with pytest.raises(nd.Cancelled):
        start_run(config, tmp_path / "stopped", progress=stop)
    resumed = nd.load_model(resume_run(tmp_path / "stopped")).familiarity
    assert whole is not None
    assert resumed is not None
    assert whole.learned.shape == (4 * 9 * 4, FEATURES)
    for name, tensor in whole.tensors().items():
        np.testing.assert_array_equal(tensor, resumed.tensors()[name])


def test_the_dock_warns_and_shows_where(make_napari_viewer, model_file: Path, qtbot: QtBot) -> None:  # type: ignore[no-untyped-def]
    viewer: napari.Viewer = make_napari_viewer()
    pixels = noise()
    photo = viewer.add_image(pixels, rgb=True, name="photo", scale=(2, 2))
    widget = open_widget(viewer, model_file)
    widget.encoding.value = "srgb"
    note = widget.familiarity
    assert note.isHidden()
    run(widget, qtbot)
    assert not note.isHidden()
    assert note.sentence.text() == (
        "100% of the image is unlike what linear learned from, in colour or texture: its scores do not hold there."
    )
    assert AMBER in note.sentence.styleSheet()
    assert "metamers" in note.toolTip()
    note.button.click()
    note.button.click()
    assert [layer.name for layer in viewer.layers] == ["photo", "photo (linear estimate)", "photo (linear unfamiliarity)"]
    layer = viewer.layers[-1]
    np.testing.assert_array_equal(layer.data, nd.unfamiliarity(pixels, model_file))
    np.testing.assert_array_equal(layer_to_cube(viewer.layers[1])["unfamiliarity"], layer.data)
    assert layer.scale.tolist() == photo.scale.tolist()
    assert tuple(layer.contrast_limits) == (0, 1)
    viewer.layers.remove(layer)
    note.button.click()
    assert "photo (linear unfamiliarity)" in viewer.layers


def test_the_dock_is_calm_about_familiar_images_and_silent_without_statistics(  # type: ignore[no-untyped-def]
    make_napari_viewer, model_file: Path, qtbot: QtBot
) -> None:
    viewer: napari.Viewer = make_napari_viewer()
    viewer.add_image(photograph(1), rgb=True, name="photo")
    widget = open_widget(viewer, model_file)
    widget.encoding.value = "srgb"
    run(widget, qtbot)
    assert not widget.familiarity.isHidden()
    assert widget.familiarity.sentence.styleSheet() == ""
    assert "scores" not in widget.familiarity.sentence.text()
    widget.model.value = "linear"
    run(widget, qtbot)
    assert widget.familiarity.isHidden()
