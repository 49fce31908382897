"""Checkpoint files: those that load, and one clear sentence for each that does not."""

from __future__ import annotations

import os
import pickle
import time
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import load_file, save_file

import napari_drcr as nd
from napari_drcr.models.drcr.architecture import DRCRSettings
from napari_drcr.models.drcr.network import DRCRNet
from napari_drcr.models.store import Card, Model, rewrite_card, save_model, shipped_models

REFERENCE = Path(__file__).parent / "reference"
CASES = Path(__file__).parent / "cases"


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
    assert wrapped.card.settings["released_npm"]


@pytest.mark.parametrize("settings", [{}, {"purification": False}, {"recalibration": False}, {"released_npm": False}])
def test_our_files_find_every_size_from_the_shapes(settings: dict[str, bool], tmp_path: Path) -> None:
    card = Card(name="small", wavelengths=tuple(range(400, 470, 10)), released_npm=settings.get("released_npm", True))
    written = Model(card, small_network(**settings))
    save_model(tmp_path / "small.safetensors", written, half=False)
    read = nd.load_model(tmp_path / "small.safetensors")
    assert same_state(written.estimator, read.estimator)
    assert (read.channels, read.blocks, read.bands) == (16, 2, 7)
    assert read.card.model_copy(update={"settings": card.settings}) == card
    assert read.settings == DRCRSettings(channels=16, blocks=2, **{"released_npm": True, **settings})


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


def torch_file(content: object, **settings: object) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, **settings)
    return buffer.getvalue()


def numpy_file(**arrays: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def refusal(path: Path | str) -> str:
    with pytest.raises(nd.InputError) as failure:
        nd.load_model(path)
    return str(failure.value)


CODE = {
    "archive": torch_file({"state_dict": RunsCode()}),
    "archive, protocol 4": torch_file({"state_dict": RunsCode()}, pickle_protocol=4),
    "old format": torch_file({"state_dict": RunsCode()}, _use_new_zipfile_serialization=False),
    "old format, protocol 4": torch_file({"w": RunsCode()}, _use_new_zipfile_serialization=False, pickle_protocol=4),
    "among tensors": torch_file({"weight": torch.zeros(3), "hook": RunsCode()}),
    "whole network": torch_file(torch.nn.PReLU()),
    "GLOBAL": b"cos\nsystem\n(S'touch was_run'\ntR.",
    "INST": b"(S'touch was_run'\nios\nsystem\n.",
    "STACK_GLOBAL of memoized names": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x0etouch was_run\x85R.",
    "registered extension": b"\x80\x02\x82\x07).",
    "second pickle": pickle.dumps(1) + pickle.dumps(RunsCode()),
    "cut off": pickle.dumps([RunsCode(), "more"])[:-3],
    **{f"plain, protocol {protocol}": pickle.dumps(RunsCode(), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", CODE.values(), ids=CODE)
def test_code_in_a_pickle_is_refused_and_never_runs(
    content: bytes, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(f"evil{suffix}")
    path.write_bytes(content)
    assert "could run code" in refusal(path)
    assert not Path("was_run").exists()


def archive(content: bytes, stored: bytes = bytes(64)) -> bytes:
    """A file as torch.save writes it, of any pickle and one storage."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as file:
        for name, data in {"data.pkl": content, "byteorder": b"little", "data/0": stored, "version": b"3\n"}.items():
            file.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def tensor_pickle(values: int, size: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """The pickle of one tensor, with whatever it says of its size."""

    def numbers(*given: int) -> bytes:
        return b"".join(b"\x8a\x08" + number.to_bytes(8, "little", signed=True) for number in given)

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + numbers(values) + b"tQ"
    shape = b"(" + numbers(*size) + b"t(" + numbers(*strides) + b"t"
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers(0) + shape + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def doubled(times: int) -> bytes:
    """Tuples of twice the one before, the last on top: as the key of a dictionary it would take for ever."""
    steps = (b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86q" + bytes([k + 1]) + b"0" for k in range(times))
    return b"K\x01q\x000" + b"".join(steps) + b"h" + bytes([times])


HOSTILE = {
    "members inflate": ((CASES / "why_bomb.pth").read_bytes(), "damaged or incomplete"),
    "pickle inflates": ((CASES / "why_time.pth").read_bytes(), "damaged or incomplete"),
    "operations": (archive(b"\x80\x02(" + b"N" * 2**19 + b"t."), "more objects than a checkpoint needs"),
    "bytes": (archive(b"\x80\x02X\0\0\x60\0" + b"x" * 0x600000 + b"."), "more objects than a checkpoint needs"),
    "nothing of torch's": (b"N" * 2**21, "neither a PyTorch checkpoint"),
    "key of doubled tuples": (archive(b"\x80\x02}" + doubled(60).replace(b"0", b"") + b"Ns."), "more objects than"),
    "key of deep tuples": (archive(b"\x80\x02}N" + b"\x85" * 100_000 + b"Ns."), "more objects than"),
    "list copied often": (
        archive(b"\x80\x02](" + b"N" * 50_000 + b"eq\x01ccollections\nCounter\nq\x02" + b"h\x02h\x01\x85R" * 9_000 + b"."),
        "more objects than",
    ),
    "storage beyond the file": (archive(tensor_pickle(10**9, (10**9,), (1,))), "damaged or incomplete"),
    "tensor beyond its storage": (archive(tensor_pickle(16, (4, 4), (100, 1))), "damaged or incomplete"),
    "repeated value": (archive(tensor_pickle(16, (10**9,), (0,))), "does not hold all of its values"),
    "allocation": (archive(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."), "could run code"),
    "storage made by a call": (archive(b"\x80\x02ctorch\nUntypedStorage\nJ\xff\xff\xff\x7f\x85R."), "damaged or incomplete"),
    "directory elsewhere": (torch_file({"w": torch.zeros(3)}).replace(b"PK\x06\x07", b"PK\x06\x08"), "damaged or incomplete"),
}


@pytest.mark.parametrize(("content", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_bombs_are_refused_before_they_go_off(
    content: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch saw it"))
    (tmp_path / "gift.pth").write_bytes(content)
    began = time.process_time()
    assert sentence in refusal(tmp_path / "gift.pth")
    assert time.process_time() - began < 4


NO_CHECKPOINT = {
    "like GLOBAL": b"cglobal\nwarming\nand what to do about it",
    "like INST": b"(see reduce, function and class)\n",
    "numbers": pickle.dumps({"a": 1}),
    "tensors' own names alone": pickle.dumps(OrderedDict(a=1)),
    "other archive": numpy_file(weight=np.zeros(3)),
}


@pytest.mark.parametrize("content", NO_CHECKPOINT.values(), ids=NO_CHECKPOINT)
def test_what_is_no_checkpoint_is_not_said_to_run_code(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.pth"
    path.write_bytes(content)
    assert refusal(path) == "notes.pth: it is neither a PyTorch checkpoint nor a safetensors file."


@pytest.mark.parametrize("old_format", [True, False])
def test_damaged_tensors_are_not_said_to_run_code(old_format: bool, released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    whole = torch_file(released, _use_new_zipfile_serialization=not old_format)
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or incomplete" in refusal(path)
    path.write_bytes(torch_file(released, _use_new_zipfile_serialization=not old_format, pickle_protocol=4))
    assert "not saved with torch.save's defaults" in refusal(path)


def test_every_broken_file_gets_its_sentence(released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    whole = (REFERENCE / "official_layout_small.pth").read_bytes()

    without = {name: value for name, value in released.items() if name != "backbone.1.conv3.conv2d.bias"}
    reshaped = released | {"backbone.0.conv4.conv2d.weight": torch.zeros(16, 16, 3, 3)}
    cases = {
        "truncated": (whole[: len(whole) // 2], "damaged or incomplete"),
        "empty": (b"", "file is empty"),
        "page": (b"\n<!DOCTYPE html><html><title>Google Drive</title></html>", "web page"),
        "text": (b"just some notes, not a checkpoint", "PyTorch checkpoint"),
        "other": (
            torch_file({"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(5)}),
            "another network: conv1.weight, fc.bias",
        ),
        "missing": (torch_file(without), r"lacks 1 of the \d+ parameters .*blocks.1.conv3.bias"),
        "surplus": (torch_file(released | {"extra.weight": torch.zeros(3)}), "does not: extra.weight"),
        "shape": (torch_file(reshaped), r"blocks.0.conv4.weight has the shape \(16, 16, 3, 3\), expected \(16, 32, 3, 3\)"),
        "optimizer": (torch_file({"epoch": 3, "optimizer": {}}), "dictionary of epoch, optimizer"),
        "tensor": (torch_file(torch.zeros(3)), "holds Tensor"),
        "number": (torch_file(3), "holds int"),
        "nothing": (torch_file({}), "holds an empty dictionary"),
        "wrapped nothing": (torch_file({"state_dict": {}}), "holds an empty dictionary"),
        "numbered": (torch_file({0: torch.zeros(3)}), "holds a dictionary of int"),
        "twice": (torch_file(released | {f"module.{name}": value for name, value in released.items()}), "twice"),
    }
    for name, (content, sentence) in cases.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(nd.InputError, match=sentence):
            nd.load_model(path)


FIRST, LAST = "input_conv2D.conv2d.weight", "output_conv2D.conv2d.weight"
DOWN, BIAS = "backbone.0.se1.fc.0.weight", "backbone.0.conv1.conv2d.bias"
ODD = {
    "first is a scalar": (FIRST, torch.tensor(1.0), "lacks the first or the last convolution"),
    "first for gray": (FIRST, torch.zeros(16, 1, 3, 3), "lacks the first or the last convolution"),
    "last is flat": (LAST, torch.zeros(31), "lacks the first or the last convolution"),
    "no channels": (FIRST, torch.zeros(0, 3, 3, 3), "channels is 0"),
    "no bands": (LAST, torch.zeros(0, 16, 3, 3), "estimates 0 bands"),
    "gate is a scalar": (DOWN, torch.tensor(1.0), r"gate1.down.weight has the shape \(\), expected"),
    "gate has four axes": (DOWN, torch.zeros(2, 16, 1, 1), r"shape \(2, 16, 1, 1\), expected"),
    "gate squeezes to nothing": (DOWN, torch.zeros(0, 16), r"shape \(0, 16\), expected"),
    "gate widens": (DOWN, torch.zeros(99, 16), "reduction is 0"),
    "huge block number": ("backbone.99999999.conv1.conv2d.bias", torch.zeros(16), "3 blocks, numbered .*99999999"),
    "block number left out": ("backbone.3.conv1.conv2d.bias", torch.zeros(16), "count up from 0"),
    "superscript": ("backbone.².conv1.conv2d.bias", torch.zeros(16), "numbered .*²"),
    "number of 9999 digits": (f"backbone.{'9' * 9999}.conv1.conv2d.bias", torch.zeros(16), "count up from 0"),
    "block without a part": ("backbone.²", torch.zeros(16), "does not: backbone.²"),
    "complex": (BIAS, torch.zeros(16, dtype=torch.complex64), "of the kind complex64, not floating-point"),
    "integer": (BIAS, torch.zeros(16, dtype=torch.int64), "of the kind int64, not floating-point"),
    "meta": (BIAS, torch.zeros(16, device="meta"), "does not hold all of its values"),
    "sparse": (BIAS, torch.zeros(16).to_sparse(), "does not hold all of its values"),
    "repeated": (FIRST, torch.zeros(1).expand(2**40, 3, 3, 3), "does not hold all of its values"),
    "NaN": (BIAS, torch.full((16,), torch.nan), r"blocks.0.conv1.bias holds values that are not finite"),
    "infinite": (BIAS, torch.full((16,), torch.inf), "holds values that are not finite"),
    "beyond float32": (BIAS, torch.full((16,), 1e300, dtype=torch.float64), "holds values that are not finite"),
}


@pytest.mark.parametrize(("name", "value", "sentence"), ODD.values(), ids=ODD)
def test_every_odd_parameter_gets_its_sentence(
    name: str, value: torch.Tensor, sentence: str, released: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "odd.pth"
    torch.save(released | {name: value}, path)
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(path)


def test_network_without_blocks_is_refused(released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "blockless.pth"
    torch.save({name: value for name, value in released.items() if not name.startswith("backbone")}, path)
    assert "blocks is 0: Input should be greater than or equal to 1" in refusal(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_is_read(kind: torch.dtype, released: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({name: value.to(kind) for name, value in released.items()}, path)
    assert nd.load_model(path).estimator.tail[0].weight.dtype == torch.float32


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


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (np.float32(1), "3x31, found a single number"),
        (np.zeros((3, 31), np.complex64), "matrix holds values of the kind C64"),
        (np.zeros((3, 31), np.int32), "matrix holds values of the kind I32"),
        (np.full((3, 31), np.nan), "matrix holds values that are not finite"),
        (np.full((3, 31), 1e300), "matrix holds values that are not finite"),
    ],
    ids=["scalar", "complex", "integer", "NaN", "beyond float32"],
)
def test_odd_maps_get_their_sentence(matrix: np.ndarray, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    save_file({"matrix": np.asarray(matrix)}, path, metadata={"napari_drcr": '{"name": "x", "architecture": "linear"}'})
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(path)


def test_bfloat16_in_safetensors_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"matrix": torch.zeros(3, 31, dtype=torch.bfloat16)}, path, metadata={"napari_drcr": "{}"})
    assert "of the kind BF16, expected F16, F32, F64" in refusal(path)


def test_model_with_values_that_are_not_finite_is_not_written(tmp_path: Path) -> None:
    network = small_network()
    bias = network.purification.fuse.bias.data
    bias[0] = 1e6
    model = Model(Card(name="small", wavelengths=tuple(range(400, 470, 10))), network)
    with pytest.raises(nd.InputError, match=r"purification.fuse.bias holds values that are not finite in half precision"):
        save_model(tmp_path / "small.safetensors", model)
    save_model(tmp_path / "small.safetensors", model, half=False)
    bias[0] = torch.nan
    with pytest.raises(nd.InputError, match=r"that are not finite\.$"):
        save_model(tmp_path / "small.safetensors", model, half=False)


@pytest.mark.parametrize("half", [True, False])
def test_a_new_card_leaves_every_bit_of_the_weights(tmp_path: Path, half: bool) -> None:
    path = tmp_path / "small.safetensors"
    card = Card(name="small", wavelengths=tuple(range(400, 470, 10)), scores={"validation MRAE@0.01": 0.2})
    save_model(path, Model(card, small_network()), half=half)
    before = load_file(path)
    rewrite_card(path, card.model_copy(update={"scores": {"JPEG 50 MRAE@0.01": 0.3}}))
    after = load_file(path)
    assert {name: (value.dtype, value.tobytes()) for name, value in after.items()} == {
        name: (value.dtype, value.tobytes()) for name, value in before.items()
    }
    assert nd.load_model(path).card.scores == {"JPEG 50 MRAE@0.01": 0.3}
    with pytest.raises(nd.InputError, match="estimates 7 bands, but only the wavelengths of 31 bands are known"):
        rewrite_card(path, Card(name="other"))
    with pytest.raises(nd.InputError, match="there is no such file"):
        rewrite_card(tmp_path / "missing.safetensors", card)


def test_loaded_model_comes_back_as_it_is() -> None:
    model = nd.load_model("linear")
    assert nd.load_model(model) is model


@pytest.mark.parametrize("name", ["foto", "~nouser/x", "x" * 999, "a\0b", None])
def test_what_is_not_there_is_no_model(name: str | None) -> None:
    with pytest.raises(nd.InputError, match="there is no model "):
        nd.load_model(name)


def test_folders_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match="is a folder"):
        nd.load_model(tmp_path)
    with pytest.raises(nd.InputError, match=r"written as \.safetensors"):
        save_model(tmp_path / "model.pth", nd.load_model("linear"))
