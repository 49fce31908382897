"""What napari.yaml promises, in a real viewer: readers, writers, samples, menus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import napari
import numpy as np
import pytest
from napari.layers import Image
from npe2 import PluginManifest
from npe2.cli import main as npe2
from npe2.manifest.utils import import_python_name
from PIL import Image as Picture
from pytestqt.qtbot import QtBot

from napari_drcr._readers import get_reader
from napari_drcr._samples import photo, synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.io import read_cube, write_cube
from napari_drcr.widgets.colour_actions import FalseColour

MANIFEST = Path(__file__).parents[1] / "src" / "napari_drcr" / "napari.yaml"
MakeViewer = Callable[..., napari.Viewer]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Write an oblong cube of noise as a MATLAB file."""
    values = np.random.default_rng(0).random((31, 6, 8), dtype=np.float32)
    path = tmp_path / "scene.mat"
    write_cube(path, make_cube(values, WAVELENGTHS, quantity="reflectance"))
    return path


def test_manifest_is_valid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["npe2", "validate", str(MANIFEST)])
    with pytest.raises(SystemExit) as end:
        npe2()
    assert end.value.code == 0, capsys.readouterr().out


def test_every_command_is_there() -> None:
    for command in PluginManifest.from_file(MANIFEST).contributions.commands:
        assert callable(import_python_name(command.python_name))


def test_no_format_of_others_is_claimed() -> None:
    readers = PluginManifest.from_file(MANIFEST).contributions.readers
    assert {pattern for reader in readers for pattern in reader.filename_patterns} == {"*.mat", "*.hdr", "*.nc"}


def test_mat_dropped_on_napari_opens_on_an_axis_in_nm(make_napari_viewer: MakeViewer, scene: Path) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open(scene, plugin=None)
    assert layer.name == "scene"
    assert viewer.dims.nsteps[0] == 31
    assert viewer.dims.axis_labels == ("wavelength", "y", "x")
    assert viewer.canvas.overlays.current_slice.visible
    viewer.dims.set_point(0, 550)
    assert viewer.dims.current_step[0] == 15


def test_slider_keeps_31_steps_beside_a_photo_in_micrometres(make_napari_viewer: MakeViewer, scene: Path) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((6, 8, 3), np.uint8), scale=(0.5, 0.5), units=("um", "um"), rgb=True)
    viewer.open(scene, plugin="napari-drcr")
    assert viewer.dims.nsteps[0] == 31


def test_the_slider_begins_where_there_is_something_to_see(make_napari_viewer: MakeViewer, scene: Path, tmp_path: Path) -> None:
    viewer = make_napari_viewer()
    Picture.fromarray(np.full((48, 64, 3), 100, np.uint8)).save(tmp_path / "photo.png")
    viewer.open([tmp_path / "photo.png", scene], plugin=None)
    assert viewer.dims.point[0] == 550
    viewer.dims.set_point(0, 400)
    viewer.open(scene, plugin="napari-drcr")
    assert viewer.dims.point[0] == 400
    for layer in viewer.layers[1:]:
        viewer.layers.remove(layer)
    viewer.open_sample("napari-drcr", "synthetic")
    assert viewer.dims.point[0] == 550


@pytest.mark.parametrize(
    ("wavelengths", "first"), [(np.arange(900, 1701, 100), 1300), (np.arange(400, 1001, 50), 550), ((420, 540, 555, 690), 2)]
)
def test_the_slider_begins_at_a_band_of_its_own(
    make_napari_viewer: MakeViewer, tmp_path: Path, wavelengths: Sequence[float], first: float
) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((6, 8, 3), np.uint8), rgb=True)
    write_cube(tmp_path / "scene.nc", make_cube(np.ones((len(wavelengths), 6, 8), np.float32), wavelengths))
    viewer.open(tmp_path / "scene.nc", plugin="napari-drcr")
    assert viewer.dims.point[0] == first


def test_a_cube_that_was_not_added_moves_no_slider(make_napari_viewer: MakeViewer, scene: Path) -> None:
    viewer = make_napari_viewer()
    before = len(viewer.layers.events.inserted.callbacks)
    viewer.add_image(np.zeros((6, 8)))
    get_reader(str(scene))(str(scene))
    viewer.add_image(np.zeros((4, 6, 8)))
    assert viewer.dims.point[0] == 0
    assert len(viewer.layers.events.inserted.callbacks) == before


@pytest.mark.parametrize("suffix", [".mat", ".hdr", ".nc"])
def test_saved_layer_reads_back(make_napari_viewer: MakeViewer, scene: Path, tmp_path: Path, suffix: str) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open(scene, plugin="napari-drcr")
    path = tmp_path / f"copy{suffix}"
    assert layer.save(path, plugin="napari-drcr") == [str(path)]
    copy, original = read_cube(path), read_cube(scene)
    np.testing.assert_array_equal(copy, original)
    np.testing.assert_array_equal(copy["wavelength"], original["wavelength"])
    assert copy.attrs["quantity"] == "reflectance"


def test_layer_that_is_no_cube_is_not_saved_as_one(make_napari_viewer: MakeViewer, tmp_path: Path) -> None:
    layer = make_napari_viewer().add_image(np.zeros((6, 8, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(RuntimeError, match="'photo' is an RGB image, not a cube"):
        layer.save(tmp_path / "photo.mat", plugin="napari-drcr")
    assert not list(tmp_path.iterdir())


def test_pictures_are_still_saved_by_napari(make_napari_viewer: MakeViewer, tmp_path: Path) -> None:
    layer = make_napari_viewer().add_image(np.zeros((6, 8), np.uint8))
    assert layer.save(tmp_path / "picture") == [str(tmp_path / "picture.tif")]


def test_cave_folder_opens(make_napari_viewer: MakeViewer, tmp_path: Path) -> None:
    folder = tmp_path / "beads_ms"
    folder.mkdir()
    for number in range(1, 32):
        Picture.fromarray(np.full((6, 8), 2000 * number, np.uint16)).save(folder / f"beads_ms_{number:02}.png")
    (layer,) = make_napari_viewer().open(folder, plugin="napari-drcr")
    assert layer.data.shape == (31, 6, 8)
    assert layer.metadata["wavelengths"] == list(WAVELENGTHS)


def test_what_is_no_cube_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "text.mat").write_text("no MATLAB file")
    (tmp_path / "radiance.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\0\0\0\0")
    for path in (tmp_path / "text.mat", tmp_path / "radiance.hdr", tmp_path / "missing.mat", tmp_path):
        assert get_reader(str(path)) is None


def test_several_files_as_one_stack_are_left_to_others(scene: Path) -> None:
    assert get_reader([str(scene), str(scene)]) is None


def test_sample_shows_the_photo_above_its_true_cube(make_napari_viewer: MakeViewer) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-drcr", "synthetic")
    cube, rgb = viewer.layers
    assert rgb.rgb
    assert rgb.name == "synthetic scene"
    assert viewer.layers.selection.active is rgb
    assert cube.data.shape == (31, *rgb.data.shape[:2])
    assert cube.metadata["napari_drcr"]["quantity"] == "reflectance"
    assert viewer.dims.nsteps[0] == 31


def test_sample_photo_is_rgb_and_needs_no_download(make_napari_viewer: MakeViewer) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-drcr", "photo")
    assert viewer.layers["coffee cup"].rgb
    assert viewer.layers["coffee cup"].data.shape == (400, 600, 3)


def test_readers_and_samples_work_without_a_window(scene: Path) -> None:
    assert len(get_reader(str(scene))(str(scene))) == 1
    assert [kind for *_, kind in [*synthetic_scene(), *photo()]] == ["image"] * 3


def test_layer_menu_opens_the_widget_for_the_selected_layer(make_napari_viewer: MakeViewer) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    first, second = (viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True) for _ in range(2))
    menu = [item.command.id for item in get_app_model().menus.get_menu("napari/layers/filter") if hasattr(item, "command")]
    assert "napari-drcr.reconstruct_active_layer" in menu
    for chosen in (first, second):
        viewer.layers.selection.active = chosen
        get_app_model().commands.execute_command("napari-drcr.reconstruct_active_layer").result()
        assert isinstance(chosen, Image)
        assert viewer.window.dock_widgets["Reconstruct (DRCR)"].layer.value is chosen


def test_layer_menu_offers_pictures_of_cubes_alone(make_napari_viewer: MakeViewer, scene: Path, qtbot: QtBot) -> None:
    from napari._app_model import get_app_model
    from napari._app_model.context import get_context

    viewer = make_napari_viewer()
    menu = get_app_model().menus.get_menu("napari/layers/visualize")
    commands = {item.command.id: item.command for item in menu if hasattr(item, "command")}
    ours = [commands[f"napari-drcr.{name}"] for name in ("render_srgb_layer", "false_colour_layer")]
    assert [command.title for command in ours] == ["Render as sRGB (DRCR)", "False-colour composite… (DRCR)"]

    def offered() -> list[bool]:
        return [bool(command.enablement.eval(get_context(viewer.layers))) for command in ours]

    assert offered() == [False, False]
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True)
    assert offered() == [False, False]
    viewer.add_labels(np.zeros((4, 8, 8), int))
    assert offered() == [False, False]
    viewer.open(scene, plugin="napari-drcr")
    assert offered() == [True, True]
    for command in ours:
        get_app_model().commands.execute_command(command.id).result()
    (dialog,) = viewer.window._qt_window.findChildren(FalseColour)
    dialog.accept()
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=30_000)
    assert {layer.name for layer in viewer.layers[3:]} == {"scene (sRGB)", "scene (false colour 700, 550, 450 nm)"}
