"""Run folders and model files that were written before networks had settings of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.drcr.architecture import DRCRSettings
from napari_drcr.training import jobs
from napari_drcr.training.config import make_config
from napari_drcr.training.jobs.records import read_losses, read_metrics, read_preview
from napari_drcr.training.run import read_run_config, resume_run

EARLIER = Path(__file__).parent / "reference" / "earlier_run"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run as it was, with its scenes."""
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / "scenes" / split).mkdir(parents=True)
        nd.write_cube(tmp_path / "scenes" / split / f"scene_{seed}.mat", synthetic_scene(32, 48, seed=seed))
    folder = Path(shutil.copytree(EARLIER, tmp_path / "run"))
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(config.replace("folder: scenes", f"folder: {tmp_path / 'scenes'}"), encoding="utf-8")
    return folder


def test_a_run_is_listed_and_its_records_are_read(folder: Path) -> None:
    state = jobs.read_run(folder)
    assert (state.state, state.status.step) == ("crashed", 7)
    assert [row["step"] for row in read_metrics(folder)] == [4]
    assert len(read_losses(folder)) == 6
    preview = read_preview(folder)
    assert preview is not None
    assert preview.step == 4
    assert read_run_config(folder).network == DRCRSettings(channels=8, blocks=1)


def test_a_configuration_without_network_and_learning_rate_means_what_it_did() -> None:
    config = make_config({"data": {"patch": 64}})
    assert config.network == DRCRSettings(channels=32, blocks=5)
    assert config.learning_rate == 1e-3
    assert make_config({"learning": {"learning_rate": 0.003}}).learning_rate == 0.003
    assert make_config({"network": {"architecture": "edsr"}}).learning_rate == find_architecture("edsr").learning_rate


def test_a_run_is_resumed_to_its_end(folder: Path, own_folders: None) -> None:
    with pytest.warns(nd.Notice, match="converted once to half precision"):
        best = resume_run(folder)
    assert [row["step"] for row in read_metrics(folder)] == [4, 8, 12]
    model = nd.load_model(best)
    assert model.settings == DRCRSettings(channels=8, blocks=1)


def test_a_model_file_is_read() -> None:
    model = nd.load_model(EARLIER / "model.safetensors")
    assert (model.channels, model.blocks, model.reduction, model.bands) == (8, 1, 8, 31)
    assert model.settings == DRCRSettings(channels=8, blocks=1, released_npm=False)
    assert model.card.architecture == "drcr"
    assert nd.load_model("polynomial").card.settings == {"kind": "polynomial"}
