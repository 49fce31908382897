"""RDA: its output, its patches, its published Keras file, and how it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import napari_drcr as nd
from journey import assert_same_network, train_straight_and_resumed
from napari_drcr.inference import passes
from napari_drcr.models.layers import PATCH, with_coordinates
from napari_drcr.models.rda.keras_names import keras_names
from napari_drcr.models.rda.network import RDA
from napari_drcr.models.store import Card, Model, save_model
from napari_drcr.system.steps import run_to_end
from napari_drcr.training.config import make_config
from napari_drcr.training.sections import TrainingConfig
from reference import FOLDER, billion_multiplications, count, difference, shapes_of, state_of


@pytest.fixture(scope="module")
def network() -> RDA:
    network = RDA()
    network.load_state_dict(state_of(shapes_of(network), 0.7))
    return network.eval().requires_grad_(False)


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def write_keras(path: Path, network: RDA, change: Callable[[h5py.Group], None] = lambda layers: None) -> Path:
    """The parameters as Keras 2 writes those of a whole model."""
    state = network.state_dict()
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Model"}'
        file.create_group("optimizer_weights")
        layers = file.create_group("model_weights")
        for theirs, ours in keras_names().items():
            layer, array = theirs.split("/")
            value = state[ours]
            value = value.permute(2, 3, 1, 0) if value.ndim == 4 else value.T if value.ndim == 2 else value
            layers.create_dataset(f"{layer}/{layer}/{array}:0", data=value.numpy())
        change(layers)
    return path


def test_it_gives_the_stored_output(network: RDA) -> None:
    assert difference(RDA(), "rda") < 2e-5
    assert (FOLDER / "rda.npz").stat().st_size < 70_000


def test_sizes_and_cost_are_those_of_the_published_network(network: RDA) -> None:
    assert count("rda", "published") == 231_539
    assert sum(value.numel() for value in network.state_dict().values()) == 233_059  # with running means and variances
    assert billion_multiplications("rda", "published") == pytest.approx(37.763, rel=0.01)


def test_rows_and_columns_go_from_minus_one_to_one() -> None:
    *_, rows, columns = with_coordinates(torch.zeros(2, 3, 64, 32))[1]
    np.testing.assert_allclose(rows[:, 5], np.arange(64) / 63 * 2 - 1, atol=1e-6)
    np.testing.assert_allclose(columns[7], np.arange(32) / 31 * 2 - 1, atol=1e-6)


def test_images_are_patches_from_the_top_left_filled_with_zeros(network: RDA) -> None:
    rgb = torch.from_numpy(image(70, 150)).permute(2, 0, 1)[None]
    whole = network(rgb)
    for top, left in ((0, 0), (0, 64), (64, 128)):
        patch = torch.zeros(1, 3, PATCH, PATCH)
        part = rgb[..., top : top + PATCH, left : left + PATCH]
        patch[..., : part.shape[2], : part.shape[3]] = part
        found = whole[..., top : top + PATCH, left : left + PATCH]
        expected = network.estimate(patch)[..., : part.shape[2], : part.shape[3]]
        np.testing.assert_allclose(found, expected, atol=1e-5 * float(whole.abs().max()))


def test_pieces_and_windows_are_those_of_the_whole_image(network: RDA) -> None:
    model, rgb = Model(Card(name="rda", architecture="rda"), network), image(70, 150)
    kept: list[passes.Pass] = []
    cube = nd.reconstruct(rgb, model, encoding="linear", device="cpu", tile=64, remember=kept.append)
    whole = network(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0]
    np.testing.assert_allclose(cube, whole, atol=1e-5 * float(whole.abs().max()))
    window = run_to_end(kept[0].refine((50, 60, 70, 131)))
    np.testing.assert_allclose(window, cube.values[:, 50:70, 60:131], atol=1e-5 * float(whole.abs().max()))


def test_a_crop_is_a_patch_by_itself_in_training() -> None:
    network = RDA(dropout=0)
    crop = torch.rand(2, 3, 32, 32)
    assert torch.equal(network.train()(crop), network.estimate(crop))
    assert not torch.allclose(network.eval()(crop), network.estimate(crop), atol=1e-3)


def test_running_statistics_are_saved_as_real_numbers(tmp_path: Path) -> None:
    network = RDA()
    for _ in range(3):
        network(torch.rand(2, 3, 32, 32))
    network.eval().requires_grad_(False)
    save_model(tmp_path / "mine.safetensors", Model(Card(name="mine", architecture="rda"), network), half=False)
    read = nd.load_model(tmp_path / "mine.safetensors").estimator
    assert not torch.allclose(read.u_net.down1[1].last[0].running_var, torch.ones(8))
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in network.state_dict().items())


def test_the_published_file_is_read(network: RDA, tmp_path: Path) -> None:
    model = nd.load_model(write_keras(tmp_path / "rda.h5", network))
    assert (model.card.architecture, model.encoding, model.normalisation) == ("rda", "as given", "white")
    rgb = torch.rand(1, 3, 24, 20)
    assert torch.equal(model.estimator(rgb), network(rgb))


def test_sizes_follow_from_a_file(tmp_path: Path) -> None:
    with h5py.File(write_keras(tmp_path / "wide.h5", RDA(growth=6, features=12, reduction=4)), "a") as file:
        for layer in list(file["model_weights"]):
            file.move(f"model_weights/{layer}", layer)  # as a file of weights alone has them
        del file["model_weights"], file["optimizer_weights"]
    assert nd.load_model(tmp_path / "wide.h5").settings.summary() == "6 growth, 4 reduction, 12 features"


def remove(layers: h5py.Group) -> None:
    del layers["conv2d_5/conv2d_5/kernel:0"]


def add(layers: h5py.Group) -> None:
    layers["conv2d_36/conv2d_36/kernel:0"] = np.zeros((3, 3, 8, 8), np.float32)


def count_up(layers: h5py.Group) -> None:
    layers["conv1/conv1/steps:0"] = np.zeros(3, np.int64)


def compress(layers: h5py.Group) -> None:
    layers.create_dataset("conv1/conv1/more:0", data=np.zeros((64, 64), np.float32), chunks=(8, 8), compression="gzip")


def leave_empty(layers: h5py.Group) -> None:
    layers.create_dataset("conv1/conv1/more:0", (2**40,), np.float32)


def double(layers: h5py.Group) -> None:
    layers["conv1/other/kernel:0"] = np.zeros((1, 1, 5, 16), np.float32)


def narrow(layers: h5py.Group) -> None:
    del layers["op0/op0/bias:0"]
    layers["op0/op0/bias:0"] = np.zeros(30, np.float32)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove, r"rda\.h5 lacks 1 of the 303 arrays of RDA: conv2d_5/kernel"),
        (add, r"rda\.h5 has arrays that RDA does not: conv2d_36/kernel"),
        (count_up, r"rda\.h5: conv1/conv1/steps:0 holds values of the kind int64"),
        (compress, r"conv1/conv1/more:0 does not hold all of its values as Keras stores them"),
        (leave_empty, r"conv1/conv1/more:0 does not hold all of its values as Keras stores them"),
        (double, r"'conv1/other/kernel:0' is not an array of a Keras layer, or one of two"),
        (narrow, r"rda\.h5: tail\.bias has the shape \(30,\), expected \(31,\)"),
    ],
)
def test_other_files_are_refused_in_a_sentence(
    network: RDA, tmp_path: Path, change: Callable[[h5py.Group], None], sentence: str
) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(write_keras(tmp_path / "rda.h5", network, change))


def test_damaged_files_and_other_hdf5_are_refused(network: RDA, tmp_path: Path) -> None:
    path = write_keras(tmp_path / "rda.h5", network)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(nd.InputError, match=r"rda\.h5: the file is damaged"):
        nd.load_model(path)
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["elsewhere"] = h5py.ExternalLink("rda.h5", "/")
    with pytest.raises(nd.InputError, match="without the layers of a Keras network"):
        nd.load_model(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense_1/dense_1/kernel:0"] = np.zeros((3, 4), np.float32)
    with pytest.raises(nd.InputError, match=r"holds another network: dense_1/kernel; .*RDA has K_x/"):
        nd.load_model(tmp_path / "other.h5")


def test_it_learns_and_resumes_to_the_bit(config: TrainingConfig, tmp_path: Path, own_folders: None) -> None:
    content = config.model_dump(mode="json") | {"network": {"architecture": "rda"}}
    straight, resumed = (
        nd.load_model(path) for path in train_straight_and_resumed(make_config(content, learning__steps=8), tmp_path)
    )
    assert_same_network(straight, resumed)  # dropout and running statistics included
    assert not torch.allclose(straight.estimator.u_net.down1[1].last[0].running_var, torch.ones(8), atol=1e-4)


def test_narrow_settings_are_refused() -> None:
    with pytest.raises(nd.InputError, match="reduction 8 leaves nothing of 4 features"):
        make_config({"network": {"architecture": "rda", "features": 4}})
    with pytest.raises(nd.InputError, match="reduction 16 leaves nothing of 8 features"):
        make_config({"network": {"architecture": "rda", "reduction": 16}})
