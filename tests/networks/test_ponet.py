"""PoNet+ equals published code, and takes its parameters, but not a network as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_drcr as nd
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.ponet.architecture import FIRST_MODULES, STAGE_MODULES, PoNetSettings
from reference import FOLDER, billion_multiplications, count, shapes_of, state_of, write_checkpoint

PONET = find_architecture("ponet_plus")


def published(**sizes: int) -> dict[str, Tensor]:
    """Parameters under the authors' names."""
    settings = PoNetSettings(**sizes)
    with torch.device("meta"):
        ours = shapes_of(PONET.build(settings, 31))
    theirs = {our: their for their, our in FIRST_MODULES.items()}
    for stage in range(settings.stages):
        for their, our in STAGE_MODULES.items():
            theirs[f"stages.{stage}.{our}"] = their.replace(".", f"{stage + 1}.", 1)
    shapes = {name.rpartition(".")[::2]: shape for name, shape in ours.items()}
    return state_of({f"{theirs[module]}.{parameter}": shape for (module, parameter), shape in shapes.items()})


@pytest.mark.parametrize(("differences", "name"), [("signed", "ponet_plus"), ("absolute", "hsrnet_abs")])
def test_output_of_published_code(differences: Literal["signed", "absolute"], name: str) -> None:
    stored = np.load(FOLDER / f"{name}.npz")
    path = Path(f"{name}.pth")
    settings = PoNetSettings(stages=8, differences=differences)
    network = PONET.load(path, settings, 31, PONET.rename(path, published(stages=8)))
    estimate = network(torch.from_numpy(stored["input"])).numpy()
    assert np.abs(estimate - stored["output"]).max() < 2e-5 * np.abs(stored["output"]).max()


def test_size_and_cost() -> None:
    assert [count("ponet_plus", preset) for preset in ("published", "small")] == [682_610, 342_214]
    assert billion_multiplications("ponet_plus", "published") == pytest.approx(160.42, rel=0.01)


@pytest.mark.parametrize("bands", [1, 2, 7])
def test_any_number_of_bands(bands: int) -> None:
    assert PONET.build(PoNetSettings(stages=1), bands)(torch.rand(1, 3, 8, 9)).shape == (1, bands, 8, 9)


def test_parameters_of_the_authors(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "ponet.pth", published(stages=2, channels=16), beside=())
    model = nd.load_model(path)
    assert model.settings == PoNetSettings(stages=2, channels=16)
    assert (model.encoding, model.normalisation) == ("as given", "white")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"en2.fc1.weight": None}, r"lacks 1 of the \d+ parameters of .*: stages.1.prior_weight.shared.0.weight"),
        ({"HSI2.conv4.weight": torch.zeros(1)}, "has parameters that PoNet\\+ does not: HSI2.conv4.weight"),
        ({"convinputb.1.bias": None}, r"lacks 1 of the \d+ parameters of .*: groups.0.2.bias"),
    ],
)
def test_a_checkpoint_with_a_name_too_few_or_too_many(changed: dict[str, Tensor | None], sentence: str, tmp_path: Path) -> None:
    state = published(stages=2, channels=16) | changed
    path = write_checkpoint(tmp_path / "ponet.pth", {name: value for name, value in state.items() if value is not None})
    with pytest.raises(nd.InputError, match=sentence):
        nd.load_model(path)


def test_a_network_saved_as_a_whole_is_not_read(tmp_path: Path) -> None:
    """The authors publish theirs like this."""
    torch.save({"epoch": 80, "model": PONET.build(PoNetSettings(stages=1), 31)}, tmp_path / "ponet.pth")
    with pytest.raises(nd.InputError, match=r"perhaps a whole network, and could run code, .*; ask for the bare state_dict"):
        nd.load_model(tmp_path / "ponet.pth")
