"""Checkpoint files: those that load, and one clear sentence for each that does not."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import napari_drcr as nd
from napari_drcr.network import DRCRNet
from napari_drcr.weights import Card, Model, save_model, shipped_models

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture
def released() -> dict[str, torch.Tensor]:
    return torch.load(REFERENCE / "official_layout_small.pth", weights_only=True)["state_dict"]


def small_network(**settings: bool) -> DRCRNet:
    torch.manual_seed(0)
    return DRCRNet(bands=7, channels=16, blocks=2, **settings)


def same_state(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_model_loads_and_has_a_complete_card(name: str) -> None:
    model = nd.load_model(name)
    card = model.card
    assert model.name == name
    assert model.bands == len(model.wavelengths) == 31
    assert all((card.data, card.split, card.recipe, card.limits, card.licence, card.scores))
    assert all("@" in score for score in card.scores if "MRAE" in score)
    assert len(model.sha256) == 64


def test_published_layouts_are_one_model(released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    bare = tmp_path / "bare.pth"
    torch.save(released, bare)
    wrapped, parallel = (nd.load_model(REFERENCE / f"official_layout_small{kind}.pth") for kind in ("", "_dataparallel"))
    assert same_state(wrapped.estimator, parallel.estimator)
    assert same_state(wrapped.estimator, nd.load_model(bare).estimator)
    assert (wrapped.encoding, wrapped.normalisation) == ("as given", "maximum")
    assert wrapped.card.released_npm


@pytest.mark.parametrize("settings", [{}, {"purification": False}, {"recalibration": False}, {"released_npm": False}])
def test_our_files_find_every_size_from_the_shapes(settings: dict[str, bool], tmp_path: Path) -> None:
    card = Card(name="small", wavelengths=tuple(range(400, 470, 10)), released_npm=settings.get("released_npm", True))
    written = Model(card, small_network(**settings))
    save_model(tmp_path / "small.safetensors", written, half=False)
    read = nd.load_model(tmp_path / "small.safetensors")
    assert same_state(written.estimator, read.estimator)
    assert (read.channels, read.blocks, read.bands) == (16, 2, 7)
    assert read.card == card


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    model = Model(Card(name="small", wavelengths=tuple(range(400, 470, 10)), released_npm=True), small_network())
    for half in (True, False):
        save_model(tmp_path / f"{half}.safetensors", model, half=half)
    assert (tmp_path / "True.safetensors").stat().st_size < 0.6 * (tmp_path / "False.safetensors").stat().st_size
    assert nd.load_model(tmp_path / "True.safetensors").estimator.tail[0].weight.dtype == torch.float32


def test_loading_twice_reads_once_and_a_changed_file_again(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    model = Model(Card(name="small", wavelengths=tuple(range(400, 470, 10)), released_npm=True), small_network())
    save_model(path, model)
    first = nd.load_model(path)
    assert nd.load_model(path) is first
    save_model(path, model, half=False)
    assert nd.load_model(path) is not first


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("old_format", [True, False])
def test_code_in_a_pickle_is_refused_and_never_runs(old_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": RunsCode()}, "evil.pth", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(nd.InputError, match="could run code"):
        nd.load_model("evil.pth")
    assert not Path("was_run").exists()


def test_a_plain_pickle_is_refused_and_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.pth").write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(nd.InputError, match=r"evil\.pth"):
        nd.load_model("evil.pth")
    assert not Path("was_run").exists()


def test_every_broken_file_gets_its_sentence(released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    whole = (REFERENCE / "official_layout_small.pth").read_bytes()

    def saved(content: object) -> bytes:
        torch.save(content, tmp_path / "scratch")
        return (tmp_path / "scratch").read_bytes()

    without = {name: value for name, value in released.items() if name != "backbone.1.conv3.conv2d.bias"}
    reshaped = released | {"backbone.0.conv4.conv2d.weight": torch.zeros(16, 16, 3, 3)}
    cases = {
        "truncated": (whole[: len(whole) // 2], "damaged or incomplete"),
        "empty": (b"", "file is empty"),
        "page": (b"\n<!DOCTYPE html><html><title>Google Drive</title></html>", "web page"),
        "text": (b"just some notes, not a checkpoint", "PyTorch checkpoint"),
        "other": (
            saved({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(5)}),
            "another network: conv1.weight, fc.bias",
        ),
        "missing": (saved(without), r"lacks 1 of the \d+ parameters .*blocks.1.conv3.bias"),
        "surplus": (saved(released | {"extra.weight": torch.zeros(3)}), "does not: extra.weight"),
        "shape": (saved(reshaped), r"blocks.0.conv4.weight has shape \(16, 16, 3, 3\), expected \(16, 32, 3, 3\)"),
        "optimizer": (saved({"epoch": 3, "optimizer": {}}), "dictionary of epoch, optimizer"),
        "tensor": (saved(torch.zeros(3)), "holds Tensor"),
    }
    for name, (content, sentence) in cases.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(nd.InputError, match=sentence):
            nd.load_model(path)


def test_broken_safetensors_get_their_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"matrix": np.zeros((3, 31), np.float32)}, path)
    with pytest.raises(nd.InputError, match="without the header"):
        nd.load_model(path)
    save_file({"matrix": np.zeros((3, 31), np.float32)}, path, metadata={"napari_drcr": '{"name": "x", "encoding": "log"}'})
    with pytest.raises(nd.InputError, match="card that cannot be read: encoding"):
        nd.load_model(path)
    save_file(
        {"matrix": np.zeros((4, 31), np.float32)}, path, metadata={"napari_drcr": '{"name": "x", "architecture": "linear"}'}
    )
    with pytest.raises(nd.InputError, match="3x31, found 4x31"):
        nd.load_model(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(nd.InputError, match="not a complete safetensors"):
        nd.load_model(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match="no model 'foto'"):
        nd.load_model("foto")
    with pytest.raises(nd.InputError, match="is a folder"):
        nd.load_model(tmp_path)
    with pytest.raises(nd.InputError, match=r"written as \.safetensors"):
        save_model(tmp_path / "model.pth", nd.load_model("linear"))
