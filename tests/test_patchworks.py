"""Training mixes in measured reflectances: patches are composed of them, and the files they come from are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spectral.io.envi as envi
import torch

import napari_drcr as nd
from napari_drcr.camera.charts import chart_of
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS, relight
from napari_drcr.io import read_libraries
from napari_drcr.training import patchworks
from napari_drcr.training.config import check_config, make_config
from napari_drcr.training.data import Patches
from napari_drcr.training.jobs import prepare
from napari_drcr.training.jobs.records import read_losses
from napari_drcr.training.patchworks import exchange_materials, luminance, make_patchwork
from napari_drcr.training.preview import preview_batch
from napari_drcr.training.reflectances import Reflectances, read_reflectances
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.scenes import cache_scenes
from napari_drcr.training.sections import ReflectancesConfig, TrainingConfig
from napari_drcr.training.survey import survey

pytestmark = [
    pytest.mark.usefixtures("own_folders"),
    pytest.mark.filterwarnings("ignore:Up to .* converted:napari_drcr.errors.Notice"),
]


def smooth_spectra(count: int, seed: int = 0) -> np.ndarray:
    """Reflectances between 0.05 and 0.95 at 400-700 nm."""
    random = np.random.default_rng(seed)
    middles, widths = random.uniform(400, 700, (2, count, 1)) / [[[1]], [[8]]]
    return 0.05 + random.uniform(0.1, 0.9, (count, 1)) * np.exp(-(((WAVELENGTHS - middles) / widths) ** 2))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three collections, of 3, 4 and 12 spectra."""
    path = tmp_path / "spectra.npz"
    collections = {f"reflectances_{name}": smooth_spectra(n, n) for name, n in (("paints", 3), ("soils", 4), ("chips", 12))}
    np.savez(path, wavelengths_nm=WAVELENGTHS, cameras=np.ones(3), **collections)
    return path


@pytest.fixture
def mixed(config: TrainingConfig, archive: Path) -> TrainingConfig:
    """Half of the samples are patchworks."""
    content = config.model_dump() | {"reflectances": {"files": [str(archive)], "share": 0.5, "left_out": ["soils"]}}
    return make_config(content, learning__steps=4, learning__batch=4, learning__validate_every=2)


def read(*files: Path, **more: Any) -> Reflectances:
    found = read_reflectances(ReflectancesConfig(files=files, share=0.5, **more))
    assert found is not None
    return found


def crop_of_a_scene(side: int = 32) -> np.ndarray:
    return synthetic_scene(48, 64, seed=5).values[:, 8 : 8 + side, 16 : 16 + side]


def distance_to_cone(pixels: np.ndarray, spectra: np.ndarray) -> float:
    """Largest distance of pixels (n, bands) to the non-negative combinations of spectra."""
    from scipy.optimize import nnls

    return max(float(nnls(spectra.T.astype(np.float64), pixel.astype(np.float64))[1]) for pixel in pixels)


def test_a_patchwork_is_made_of_scaled_mixtures_of_measured_reflectances(archive: Path) -> None:
    library = read(archive)
    scene = crop_of_a_scene()
    kinds = set()
    for seed in range(24):
        asked: list[np.ndarray] = []

        def crop(asked: list[np.ndarray] = asked) -> np.ndarray:
            asked.append(scene)
            return scene

        kind = int(np.random.default_rng(seed).integers(5))
        kinds.add(kind)
        patch = make_patchwork(library, 32, crop, np.random.default_rng(seed))
        assert (patch.shape, patch.dtype) == ((31, 32, 32), np.float32)
        assert bool(asked) == (kind in (3, 4))
        assert np.isfinite(patch).all()
        if kind < 4:
            assert patch.min() > 0
            assert patch.max() <= patchworks.SCALES[1] * library.spectra.max() + 1e-6
            pixels = patch.reshape(31, -1).T[np.random.default_rng(seed).integers(32 * 32, size=8)]
            assert distance_to_cone(pixels, library.spectra) < 1e-5
    assert kinds == set(range(5))


def test_the_same_draws_give_the_same_patchwork(archive: Path) -> None:
    library = read(archive)
    patches = [
        [make_patchwork(library, 16, lambda: crop_of_a_scene(16), np.random.default_rng(seed)) for seed in range(8)]
        for _ in "ab"
    ]
    assert all(np.array_equal(one, other) for one, other in zip(*patches, strict=True))
    assert len({patch.tobytes() for patch in patches[0]}) == 8


def test_materials_are_seen_through_smooth_filters(archive: Path) -> None:
    library = read(archive)
    drawn = patchworks.draw_materials(library, 400, np.random.default_rng(0), filtered=0.5)
    assert 0 < drawn.min() < drawn.max() <= max(patchworks.LARGEST_MATERIAL, library.spectra.max())
    filtered = np.array([distance_to_cone(spectrum[None], library.spectra) > 1e-4 for spectrum in drawn[:100]])
    assert 35 < filtered.sum() < 65
    roughness = np.abs(np.diff(np.log(drawn), 2)).max()
    assert roughness < np.abs(np.diff(np.log(library.spectra), 2)).max() + 0.1


def test_exchanged_materials_keep_luminance_and_the_rest_of_the_scene(archive: Path) -> None:
    library = read(archive)
    before = crop_of_a_scene()
    for seed in range(6):
        made = exchange_materials(before, library, np.random.default_rng(seed))
        changed = (made != before).any(axis=0)
        assert changed.any()
        assert distance_to_cone(made[:, changed].T[::97], library.spectra) < 1e-4
        # A cluster is darkened as a whole, so that edges within it stay where they are.
        ratio = luminance(made)[changed] / luminance(before)[changed]
        assert ratio.max() < 1 + 1e-4
        assert len(np.unique(ratio.round(3))) <= patchworks.CLUSTERS[1]
        assert made.max() <= max(patchworks.LARGEST_SCALED + 1e-5, before.max())


def test_black_pixels_stay_black(archive: Path) -> None:
    made = exchange_materials(np.zeros((31, 16, 16), np.float32), read(archive), np.random.default_rng(0))
    assert not made.any()


def test_samples_are_scenes_and_patchworks_in_the_share_asked_for(mixed: TrainingConfig) -> None:
    training, _ = cache_scenes(mixed.data)
    library = read_reflectances(mixed.reflectances)
    first, second = Patches(training, mixed, library), Patches(training, mixed, library)
    names = [first.name_of(index) for index in range(400)]
    assert 160 < names.count("patchwork") < 240
    assert set(names) == {"patchwork", "scene_1"}
    for _ in range(3):
        first[0]
    some = [names.index("patchwork"), names.index("scene_1")]
    for index in some:
        assert all(torch.equal(one, other) for one, other in zip(first[index], second[index], strict=True))
        rgb, cube = first[index]
        assert (rgb.shape, cube.shape) == ((3, 16, 16), (31, 16, 16))
        assert 0 < float(rgb.max()) <= 1
    assert preview_batch(mixed)[2] == names[:4]


@pytest.mark.parametrize(("camera", "lights"), [("photo", []), ("photo", ["A"]), ("ntire2022", [])])
def test_a_patchwork_is_lit_and_photographed_as_a_scene_in_itself(
    camera: str, lights: list[str], mixed: TrainingConfig, archive: Path
) -> None:
    content = mixed.model_dump()
    content["data"] |= {"lights": lights}
    content["camera"] = {"name": camera, "photo_electrons": (1e9, 1e9), "read_noise": 0, "uncompressed": 1}
    config = make_config(content, reflectances__share=0.9)
    training, _ = cache_scenes(config.data)
    patches = Patches(training, config, read(archive))
    index = next(index for index in range(20) if patches.name_of(index) == "patchwork")
    rgb, cube = (part.numpy() for part in patches[index])
    settings = nd.Camera(name="plain") if camera == "photo" else nd.camera.find_camera(camera)
    linear = np.tensordot(cube, settings.response(WAVELENGTHS, "radiance" if lights else "reflectance"), axes=(0, 0))
    if camera == "ntire2022":
        linear *= 0.18 / linear.mean()
    np.testing.assert_allclose(np.moveaxis(rgb, 0, -1), linear.clip(0, 1), atol=0.01)


def test_without_a_share_the_samples_are_those_of_before(config: TrainingConfig, archive: Path) -> None:
    training, _ = cache_scenes(config.data)
    unmixed = make_config(config.model_dump() | {"reflectances": {"files": [str(archive)]}})
    assert read_reflectances(unmixed.reflectances) is None
    assert torch.equal(Patches(training, config)[3][0], Patches(training, unmixed, None)[3][0])


def test_a_run_with_patchworks_resumes_to_the_bit_and_names_them_on_its_card(mixed: TrainingConfig, tmp_path: Path) -> None:
    whole = start_run(mixed, tmp_path / "whole")

    def kill_at_three(step: int, total: int, text: str) -> None:
        if step == 3:
            raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        start_run(mixed, tmp_path / "killed", progress=kill_at_three)
    resume_run(tmp_path / "killed")
    assert np.array_equal(read_losses(tmp_path / "killed"), read_losses(tmp_path / "whole"))
    models = [nd.load_model(tmp_path / name / "model.safetensors").estimator.state_dict() for name in ("whole", "killed")]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert nd.load_model(whole).card.data == (
        "1 scenes (scene_1). 50% of the patches are composed of 15 measured reflectances in 2 collections "
        "(chips 12, paints 3; left out: soils)."
    )


def test_a_network_prepares_itself_from_charts_too(mixed: TrainingConfig, tmp_path: Path) -> None:
    one_step = {"learning__steps": 1, "learning__learning_rate": 1e-9, "network": {"architecture": "log_residual", "blocks": 1}}
    content = mixed.model_dump(mode="json")
    tables = {}
    for share in (0.0, 0.5):
        config = make_config(content, **one_step, reflectances__share=share)
        model = nd.load_model(start_run(config, tmp_path / f"{share}"))
        tables[share] = model.estimator.start.table.weight
    assert not torch.allclose(tables[0.0], tables[0.5], atol=0.01)


def test_a_resume_notices_other_reflectances(mixed: TrainingConfig, archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(mixed, folder)
    assert json.loads((folder / "reflectances.json").read_text()).keys() == {"chips", "paints"}
    content = dict(np.load(archive))
    np.savez(archive, **content | {"reflectances_soils": smooth_spectra(9)})  # not learned from
    content["reflectances_paints"][0, 0] += 0.01
    np.savez(archive, **content)
    with pytest.raises(nd.InputError, match="measured reflectances 'paints' have changed since the run began; restore"):
        resume_run(folder)
    (folder / "reflectances.json").write_text("[]")
    with pytest.raises(nd.InputError, match=r"reflectances\.json: the file is damaged"):
        resume_run(folder)


def test_libraries_of_other_tools_are_brought_to_the_bands_of_training(tmp_path: Path) -> None:
    """One is written by the spectral package, with bands of 5 nm; a gap is filled, a short spectrum left out."""
    nm = np.arange(380, 731, 5)
    values = np.stack([0.2 + (nm - 380) / 1000, np.full(nm.size, 0.5), np.full(nm.size, 0.4), np.zeros(nm.size)])
    values[1, 10:13], values[2, 60:] = -1.23e34, -1.23e34
    header = {"file type": "ENVI Spectral Library", "spectra names": list("abcd"), "wavelength": nm.tolist()}
    envi.SpectralLibrary(values, header | {"wavelength units": "Nanometers"}).save(str(tmp_path / "usgs"))
    (tmp_path / "mine.csv").write_text("wavelength (nm),leaf\n390,0.1\n710,0.42\n", encoding="utf-8")
    said: list[str] = []
    with nd.errors.notices_to(lambda notice: said.append(str(notice))):
        found = read(tmp_path / "usgs.sli", tmp_path / "mine.csv")
    assert found.collections == {"usgs": 2, "mine": 1}
    np.testing.assert_allclose(found.spectra[0], 0.2 + (np.array(WAVELENGTHS) - 380) / 1000, atol=1e-6)
    np.testing.assert_allclose(found.spectra[1], 0.5, atol=1e-6)
    np.testing.assert_allclose(found.spectra[2], 0.1 + (np.array(WAVELENGTHS) - 390) / 1000, atol=1e-6)
    assert said == ["2 measured reflectances (of usgs) are left out, because they do not cover 400-700 nm or are black."]
    assert str(found) == "3 measured reflectances in 2 collections (usgs 2, mine 1)"
    assert [library.name for library in read_libraries(tmp_path / "mine.csv")] == ["mine"]


def test_small_collections_are_not_displaced_by_large_ones() -> None:
    spectra = np.repeat([[0.1], [0.9]], [1, 400], axis=0) * np.ones(31)
    library = Reflectances(spectra.astype(np.float32), {"one": 1, "many": 400}, {}, {})
    drawn = library.draw(4200, np.random.default_rng(0))
    assert 150 < np.count_nonzero(drawn[:, 0] < 0.5) < 250  # 1 of 21


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"share": 0.5}, r"^the configuration: reflectances\.share is 0\.5, but reflectances\.files names no spectral library"),
        ({"share": 0.95}, r"reflectances\.share is 0\.95: .* less than or equal to 0\.9"),
    ],
)
def test_wrong_settings_are_refused(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        make_config({"reflectances": section})
    assert list(check_config({"reflectances": section})) == ["reflectances.share"]


@pytest.mark.parametrize(
    ("data", "reason"), [({"rgb": "files"}, "need a camera"), ({"quantity": "radiance"}, "go with scenes of reflectance only")]
)
def test_reflectances_go_with_photographed_scenes_of_reflectance(data: dict[str, Any], reason: str) -> None:
    with pytest.raises(nd.InputError, match=reason):
        make_config({"data": data, "reflectances": {"share": 0.5, "files": ["a.csv"]}})


def test_scenes_of_radiance_are_refused(mixed: TrainingConfig, tmp_path: Path) -> None:
    scene = synthetic_scene(32, 48, seed=1)
    nd.write_cube(tmp_path / "scenes" / "Train_spectral" / "lit.mat", relight(scene, "A"))
    with pytest.raises(nd.InputError, match="lit holds radiance, but measured reflectances are mixed in"):
        start_run(mixed, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    found = survey(mixed.data, mixed.reflectances)
    assert [(scene.name, scene.usable) for scene in found.scenes] == [("lit", False), ("scene_1", True), ("scene_2", True)]
    assert str(found.reflectances).startswith("15 measured reflectances in 2 collections")


@pytest.mark.parametrize(
    ("arrays", "more", "sentence"),
    [
        ({}, {}, r"bad\.npz: it needs an array wavelengths_nm"),
        ({"reflectances_a": np.ones(31)}, {}, r"bad\.npz: its array reflectances_a has the shape \(31,\)"),
        ({"reflectances_a": np.full((2, 31), 45.0)}, {}, "'a' holds values up to 45, .* divide percentages by 100"),
        ({"reflectances_a": np.full((2, 30), 0.5)}, {}, "31 wavelengths do not fit"),
        ({"reflectances_a": np.full((2, 31), 0.5)}, {"left_out": ("b",)}, "left_out names b, but the collections are a"),
        ({"reflectances_a": np.full((2, 31), 0.5)}, {"left_out": ("a",)}, "no measured reflectance is left"),
        ({"reflectances_a": np.full((2, 31), None)}, {}, r"bad\.npz: the file is damaged"),
    ],
)
def test_bad_archives_are_refused_in_a_sentence(
    arrays: dict[str, np.ndarray], more: dict[str, Any], sentence: str, config: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, wavelengths_nm=WAVELENGTHS, **arrays)
    with pytest.raises(nd.InputError, match=sentence):
        read(path, **more)
    found = survey(config.data, ReflectancesConfig(files=(path,), share=0.5, **more))
    assert not found.usable
    assert len(found.problems) == 1


def test_bad_files_are_refused_in_a_sentence(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match=r"none\.npz: it cannot be read: No such file"):
        read(tmp_path / "none.npz")
    (tmp_path / "cut.npz").write_bytes(archive.read_bytes()[:300])
    with pytest.raises(nd.InputError, match=r"cut\.npz: the file is damaged"):
        read(tmp_path / "cut.npz")
    with pytest.raises(nd.InputError, match="two collections of reflectances are called 'chips'"):
        read(archive, archive)


def test_a_chart_shows_each_spectrum_in_a_shaded_square() -> None:
    spectra = smooth_spectra(5)
    chart = chart_of(spectra, side=8, seed=3)
    assert (chart.shape, chart.dtype, chart.attrs["quantity"]) == ((31, 16, 24), np.float32, "reflectance")
    numbers = chart["spectrum"].values
    assert numbers[::8, ::8].tolist() == [[0, 1, 2], [3, 4, 0]]
    factors = chart.values / np.moveaxis(spectra[numbers], -1, 0)
    assert factors.min() >= 0.8 - 1e-6
    assert factors.max() <= 1 + 1e-6
    np.testing.assert_allclose(factors, factors[:1].repeat(31, axis=0), rtol=1e-5)
    assert factors[0, :8, :8].std() > 0
    assert chart.equals(chart_of(spectra, side=8, seed=3))
    assert not chart.equals(chart_of(spectra, side=8, seed=4))
    for wrong in (spectra[:0], spectra[:, :5], np.full((1, 31), np.nan)):
        with pytest.raises(nd.InputError, match="a chart takes spectra"):
            chart_of(wrong)
    with pytest.raises(nd.InputError, match="at least 1 pixel"):
        chart_of(spectra, side=0)
