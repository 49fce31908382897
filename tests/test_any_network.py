"""A network that is only registered goes through everything: no other line knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytestqt.qtbot import QtBot
from typer.testing import CliRunner

import napari_drcr as nd
import toy_network
from journey import assert_same_network, reconstruct_through_dock, train_straight_and_resumed
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.cli import app
from napari_drcr.inference import passes
from napari_drcr.models.execution import ieee_arithmetic
from napari_drcr.models.memory import peak_memory
from napari_drcr.models.store import Card, Model, save_model
from napari_drcr.system.devices import precisions
from napari_drcr.system.steps import run_to_end
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs.folder import MODEL
from napari_drcr.training.processes import training_precision
from napari_drcr.training.sections import TrainingConfig


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy_network.install(monkeypatch, tmp_path)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    card = Card(name="mine", architecture="toy", settings={"width": 12})
    return Model(card, toy_network.ToyNetwork(12, 31).eval().requires_grad_(False))


def as_a_whole(model: Model) -> Model:
    return Model(model.card.model_copy(update={"settings": {"width": 12, "whole": True}}), model.estimator)


def image(height: int, width: int) -> Any:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def test_reconstruct_is_the_same_in_pieces_and_as_a_whole(model: Model) -> None:
    rgb = image(50, 61)
    pieces = nd.reconstruct(rgb, model, device="cpu", tile=16)
    whole = nd.reconstruct(rgb, as_a_whole(model), device="cpu")
    assert pieces.shape == (31, 50, 61)
    assert pieces.attrs["precision"] == "fp32"  # no other was shown to be safe
    np.testing.assert_allclose(pieces, whole, atol=1e-6 * float(np.abs(whole).max()))
    assert nd.reconstruct(rgb, model, ensemble=True).coords["flip_disagreement"].max() > 0


def test_windows_are_refined_where_that_is_possible(model: Model) -> None:
    kept: list[passes.Pass] = []
    cube = nd.reconstruct(
        image(40, 40), model, precision="bf16" if "bf16" in passes.devices() else "auto", remember=kept.append
    )
    window = run_to_end(kept[0].refine((3, 5, 9, 30)))
    np.testing.assert_allclose(window, cube.values[:, 3:9, 5:30], atol=0.05 * float(np.abs(cube).max()))
    nd.reconstruct(image(40, 40), as_a_whole(model), remember=kept.append)
    assert len(kept) == 1


def test_a_whole_image_that_would_not_fit_is_refused_beforehand(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_drcr.models.execution.free_memory", lambda _: 10**6)
    with pytest.raises(
        nd.InputError, match=r"Toy network takes an image of 200 x 200 pixels at once, for which about .* GB are needed"
    ):
        nd.reconstruct(image(200, 200), as_a_whole(model), device="cpu")
    assert nd.reconstruct(image(200, 200), model, device="cpu").shape == (31, 200, 200)


def test_memory_is_worked_out_from_shapes(model: Model) -> None:
    one, four = peak_memory(model.estimator, 64, 64), peak_memory(model.estimator, 128, 128)
    values = 64 * 64 * (3 + 31) * 4
    assert values < one < 5 * values
    assert four == pytest.approx(4 * one, rel=0.1)


def test_a_whole_pass_shows_its_layers_and_can_be_cancelled(model: Model) -> None:
    steps: list[tuple[int, int]] = []
    run_to_end(nd.iter_reconstruct(image(16, 16), as_a_whole(model)), steps.append)
    assert steps[-1] == (4, 4)
    assert (2, 4) in steps
    going = nd.iter_reconstruct(image(16, 16), as_a_whole(model))
    next(going), next(going), next(going)
    going.close()


def test_overlapping_passes_leave_torch_as_it_was() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        one, other = ieee_arithmetic(), ieee_arithmetic()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert not torch.backends.cudnn.allow_tf32
        other.__exit__(None, None, None)
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_models_are_saved_with_their_settings_and_read_back(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", model, half=False)
    read = nd.load_model(tmp_path / "mine.safetensors")
    assert read.settings == toy_network.ToySettings(width=12)
    assert (read.bands, read.parameters) == (31, model.parameters)
    np.testing.assert_array_equal(nd.reconstruct(image(16, 16), read), nd.reconstruct(image(16, 16), model))


def test_settings_that_do_not_fit_the_parameters_are_a_sentence(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    for settings, sentence in (
        ({"width": 9}, r"spread.weight has the shape \(12, 192\), expected \(9, 192\)"),
        ({"width": 1}, "width is 1: Input should be greater than or equal to 2"),
        ({"depth": 1}, "depth is 1: Extra inputs are not permitted"),
    ):
        card = model.card.model_copy(update={"settings": settings})
        save_model(path, Model(card, model.estimator))
        with pytest.raises(nd.InputError, match=sentence):
            nd.load_model(path)


@pytest.fixture
def toy_config(config: TrainingConfig) -> TrainingConfig:
    content = config.model_dump(mode="json") | {"network": toy_network.settings(width=6)}
    return make_config(content, learning__steps=8)


def test_it_trains_and_resumes_to_the_bit(toy_config: TrainingConfig, tmp_path: Path, own_folders: None) -> None:
    straight, resumed = train_straight_and_resumed(toy_config, tmp_path)
    first, second = nd.load_model(straight), nd.load_model(resumed)
    assert first.card.architecture == "toy"
    assert first.settings == toy_network.ToySettings(width=6)
    assert_same_network(first, second)
    assert resumed == tmp_path / "resumed" / MODEL
    assert nd.reconstruct(image(16, 16), resumed).shape == (31, 16, 16)


def test_training_takes_a_precision_that_is_safe_for_it(toy_config: TrainingConfig) -> None:
    assert training_precision("auto", "cpu", toy_config.architecture.precisions) == "fp32"
    assert training_precision("auto", "cpu") == ("bf16" if "bf16" in precisions("cpu") else "fp32")


def test_a_run_can_start_from_it(toy_config: TrainingConfig, model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", model)
    start = make_config({"learning": {"start_from": str(tmp_path / "mine.safetensors")}})
    assert start.network == toy_network.ToySettings(width=12)


def test_it_is_benchmarked_in_processes_of_its_own(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", model)
    words = ["--model", tmp_path / "mine.safetensors", "--size", "30x45", "--rounds", 1, "--device", "cpu"]
    done = CliRunner().invoke(app, ["benchmark", *map(str, words), "--json", str(tmp_path / "found.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["sizes"] == "12 width"
    assert all(row["median"] > 0 for row in found["rows"] if row["way"]["precision"] == "fp32")
    assert "tiles fp32" in [row["way"]["title"] for row in found["rows"]]


def test_the_form_offers_it_with_its_settings(qtbot: QtBot) -> None:
    from napari_drcr.widgets.train.config_form import ConfigForm

    form = ConfigForm()
    qtbot.addWidget(form)
    before = set(form.rows)
    form.rows["network.architecture"].editor.set_value("toy")
    assert {path for path in form.rows if path.startswith("network.")} == {
        "network.architecture",
        "network.width",
        "network.whole",
    }
    form.rows["network.width"].editor.set_value(5)
    assert form.config.network == toy_network.ToySettings(width=5)
    assert form.content == {"network": {"architecture": "toy", "width": 5}}
    form.set_content({"network": {"channels": 16}})
    assert set(form.rows) == before
    assert form.config.network.summary() == "16 channels, 5 blocks"
    form.detach()


def test_the_dock_reconstructs_with_it(make_napari_viewer: Any, qtbot: QtBot, model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", model)
    layer = reconstruct_through_dock(make_napari_viewer(), qtbot, tmp_path / "mine.safetensors", synthetic_pair()[0][:40, :56])
    assert layer.data.shape == (31, 40, 56)
    assert layer.metadata["napari_drcr"]["model"] == "mine"
