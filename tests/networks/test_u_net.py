"""U-Nets: published code and sizes followed, checkpoints of others, the basis taken from training spectra, and how parts are joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import napari_drcr as nd
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.store import Card, Model
from napari_drcr.models.u_net.architecture import (
    BasisUNets,
    BasisUNetSettings,
    IMRNets,
    IMRNetSettings,
    StarSpectral,
    StarSpectralSettings,
    Stiebel,
    StiebelSettings,
)
from reference import billion_multiplications, count, difference, shapes_of, state_of, write_checkpoint


def test_stiebel_follows_the_published_code() -> None:
    assert difference(Stiebel().build(Stiebel.presets["published"], 31), "stiebel") < 2e-5


def test_sizes_and_cost_are_the_published_ones() -> None:
    assert [count(id, "published") for id in ("stiebel", "basis_u_net")] == [1_033_343, 8_108_864]
    assert billion_multiplications("stiebel", "published") == pytest.approx(246.84, rel=0.01)
    assert billion_multiplications("basis_u_net", "published") == pytest.approx(47.97, rel=0.01)
    assert [count(id, "published") for id in ("star_spectral", "imrnet")] == [381_088, 9_056_214]
    assert billion_multiplications("star_spectral", "published") == pytest.approx(6.96, rel=0.01)
    assert billion_multiplications("imrnet", "published") == pytest.approx(400.46, rel=0.01)


def test_stiebel_maps_keep_the_size_of_the_image() -> None:
    network = Stiebel().build(StiebelSettings(), 7)
    for height, width in ((9, 9), (9, 30), (17, 12)):
        assert network(torch.rand(2, 3, height, width)).shape == (2, 7, height, width)


def test_checkpoints_in_the_authors_layout_load(tmp_path: Path) -> None:
    settings = StiebelSettings(channels=6, levels=3)
    state = state_of(shapes_of(Stiebel().build(settings, 31)))
    path = write_checkpoint(tmp_path / "stiebel.pth", {f"module.{name}": value for name, value in state.items()})
    model = nd.load_model(path)
    assert model.settings == settings
    assert (model.encoding, model.normalisation) == ("as given", "bytes")
    assert all(torch.equal(value, state[name]) for name, value in model.estimator.state_dict().items())
    write_checkpoint(path, state | {"model.extra": torch.zeros(1)})
    with pytest.raises(nd.InputError, match=r"stiebel.pth has parameters that Stiebel U-Net does not: model.extra"):
        nd.load_model(path)
    del state["model.inmodel.1.bias"]
    with pytest.raises(nd.InputError, match=r"lacks 1 of the 12 parameters of a Stiebel U-Net: model.inmodel.1.bias"):
        nd.load_model(write_checkpoint(path, state))


def test_the_basis_spans_the_training_spectra() -> None:
    torch.manual_seed(0)
    spectra = torch.rand(3, 12)
    cubes = [torch.einsum("kyx,kb->byx", torch.rand(3, 16, 24), spectra) for _ in range(2)]
    network = BasisUNets().build(BasisUNetSettings(channels=4, basis=5), 12)
    BasisUNets().prepare(network, [(torch.zeros(3, 16, 24), cube) for cube in cubes])
    basis = network.basis.weight[:, :, 0, 0]  # (bands, basis)
    torch.testing.assert_close(basis.T @ basis, torch.eye(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(spectra @ basis[:, :3] @ basis[:, :3].T, spectra, atol=1e-4, rtol=0)


def test_more_basis_functions_than_bands_keep_their_start() -> None:
    network = BasisUNets().build(BasisUNetSettings(channels=4, basis=6), 4)
    before = network.basis.weight.detach().clone()
    BasisUNets().prepare(network, [(torch.zeros(3, 16, 16), torch.rand(4, 16, 16))])
    assert torch.equal(network.basis.weight[:, 4:], before[:, 4:])
    assert not torch.equal(network.basis.weight[:, :4], before[:, :4])


def test_one_matrix_turns_the_cleaned_image_into_spectra() -> None:
    network = StarSpectral().build(StarSpectralSettings(channels=4, steps=2), 9).double()
    torch.nn.init.zeros_(network.clean.head.weight)
    torch.nn.init.zeros_(network.clean.head.bias)  # what is cleaned is then the image itself
    first, second = torch.rand(2, 1, 3, 12, 16, dtype=torch.float64)

    def matrix(rgb: torch.Tensor) -> torch.Tensor:
        pixels, cube = rgb.flatten(2)[0], network(rgb).flatten(2)[0]
        found = torch.linalg.lstsq(pixels.T, cube.T).solution.T
        torch.testing.assert_close(found @ pixels, cube)
        return found

    assert matrix(first).shape == (9, 3)
    assert not torch.allclose(matrix(first), matrix(second))


def test_the_decoder_takes_the_image_corrected_by_the_u_net() -> None:
    network = IMRNets().build(IMRNetSettings(channels=2, steps=1, features=16, blocks=1), 5)
    rgb = torch.rand(1, 3, 12, 8)
    with torch.no_grad():
        network.gain.mul_(2)
        network.bias[0, 1] = 0.25
        expected = network.decoder(2 * network.u_net(rgb) + torch.tensor([0, 0.25, 0])[:, None, None] + rgb)
        torch.testing.assert_close(network(rgb), expected)


def test_an_image_too_small_for_its_convolutions_is_refused() -> None:
    architecture = find_architecture("stiebel")
    model = Model(Card(name="mine", architecture="stiebel"), architecture.build(architecture.presets["small"], 31).eval())
    with pytest.raises(InputError, match="Stiebel U-Net does not take images of 8 x 8 pixels"):
        nd.reconstruct(np.full((8, 8, 3), 0.5), model)
    assert nd.reconstruct(np.full((9, 9, 3), 0.5), model).shape == (31, 9, 9)
