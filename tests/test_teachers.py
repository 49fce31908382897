"""Networks that learn from the mean estimate of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import napari_drcr as nd
from journey import assert_same_network, train_straight_and_resumed
from napari_drcr.models.store import Model, save_model
from napari_drcr.training import jobs
from napari_drcr.training.config import make_config
from napari_drcr.training.module import TrainingModule, relative_loss
from napari_drcr.training.run import resume_run
from napari_drcr.training.sections import TrainingConfig

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def teachers(config: TrainingConfig, tmp_path: Path) -> list[Path]:
    """Two networks for the camera that the run simulates, with weights of their own."""
    paths = [tmp_path / f"teacher_{number}.safetensors" for number in range(2)]
    for number, path in enumerate(paths):
        torch.manual_seed(number)
        about = {"name": path.stem, "settings": config.network.model_dump(exclude={"architecture"})}
        card = nd.load_model("photo-drcr").card.model_copy(update=about)
        save_model(path, Model(card, config.architecture.build(config.network, 31)), half=False)
    return paths


def test_the_loss_is_shared_by_truth_and_the_mean_of_the_teachers(config: TrainingConfig, teachers: list[Path]) -> None:
    taught = make_config(config.model_dump(), learning__teachers=list(map(str, teachers)), learning__teaching=0.25)
    module = TrainingModule(taught)
    rgb, cube = torch.rand(1, 3, 16, 16), torch.rand(1, 31, 16, 16)
    mean = sum(nd.load_model(path).estimator(rgb) for path in teachers) / 2
    estimate = module.network(rgb)
    expected = 0.75 * relative_loss(cube, estimate, 0.01) + 0.25 * relative_loss(mean, estimate, 0.01)
    torch.testing.assert_close(module.training_step((rgb, cube), 0), expected)
    assert not any("teacher" in name for name in module.state_dict())


def test_a_taught_run_goes_on_without_the_files_of_its_teachers(
    config: TrainingConfig, teachers: list[Path], tmp_path: Path
) -> None:
    taught = make_config(config.model_dump(), learning__teachers=list(map(str, teachers)), learning__steps=8)
    straight, resumed = train_straight_and_resumed(taught, tmp_path)
    model = nd.load_model(straight)
    assert_same_network(model, nd.load_model(resumed))
    assert "50% of the loss against the mean of teacher_0, teacher_1" in model.card.recipe
    for path in teachers:
        path.unlink()
    (tmp_path / "resumed" / "checkpoints" / "last.ckpt").unlink()
    assert_same_network(model, nd.load_model(resume_run(tmp_path / "resumed")))
    jobs.delete(tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("nobody", "learning.teachers is 'nobody': there is no model"),
        ("polynomial", "model polynomial is a per-pixel map; name a trained network"),
        ("ntire2022", "model ntire2022 takes images of camera ntire2022 .* the run makes those of camera photo"),
    ],
)
def test_what_cannot_teach_is_refused(teacher: str, sentence: str, config: TrainingConfig) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        make_config(config.model_dump(), learning__teachers=[teacher])
