"""The form of a run's configuration: real widgets, real models, no viewer."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit, QScrollArea

from napari_drcr.camera import CAMERAS
from napari_drcr.errors import InputError
from napari_drcr.models.store import load_model, save_model
from napari_drcr.training.config import describe_preset, make_config, network_of, presets, read_config
from napari_drcr.training.sections import TrainingConfig
from napari_drcr.widgets.train.config_form import ESSENTIALS, ConfigForm
from napari_drcr.widgets.train.editors import ChoiceEditor, NamesEditor, NumberEditor, ShareEditor, TupleEditor, WholeEditor
from napari_drcr.widgets.train.fields import config_fields, config_sections
from napari_drcr.widgets.train.preset_choice import OWN
from napari_drcr.widgets.viewer.controls import find_hardware


@pytest.fixture
def form(qtbot: QtBot) -> Iterator[ConfigForm]:
    form = ConfigForm()
    qtbot.addWidget(form)
    yield form
    form.detach()


def wait_for_check(form: ConfigForm, qtbot: QtBot) -> None:
    with qtbot.waitSignal(form.checked, timeout=20_000):
        pass


def type_into(line: QLineEdit, text: str, qtbot: QtBot) -> None:
    line.selectAll()
    qtbot.keyClicks(line, text)


def marked(form: ConfigForm) -> dict[str, str]:
    return {path: row.error for path, row in form.rows.items() if row.error}


def field(form: ConfigForm, path: str) -> Any:
    return form.rows[path].editor


def random_content(seed: int) -> dict[str, Any]:
    """Values that are right, of every kind of field."""
    draw = random.Random(seed)
    rgb = draw.choice(["simulated", "files"])
    return {
        "name": draw.choice(["leaves", "leaves 2.0", "b_c+d-e"]),
        "seed": draw.randrange(2**32),
        "device": draw.choice(["auto", "cpu", "cuda:7"]),
        "network": {
            "channels": draw.randrange(16, 200),
            "purification": draw.random() < 0.5,
            "released_npm": draw.random() < 0.5,
        },
        "data": {
            "folder": draw.choice([None, "scenes", "/data/my scenes"]),
            "validation": draw.sample(["leaf 1", "leaf 2", "stone"], draw.randrange(3)),
            "quantity": draw.choice([None, "reflectance", "radiance"]),
            "rgb": rgb,
            "encoding": "linear" if rgb == "files" else "srgb",
            "patch": 16 * draw.randrange(1, 20),
            "workers": draw.choice([None, 0, 3]),
        },
        "reflectances": {
            "files": draw.sample(["a.csv", "/data/my, spectra.npz"], draw.randrange(3)),
            "left_out": draw.choice([[], ["munsell"]]),
        },
        "camera": {
            "name": draw.choice(["photo", "ntire2020-clean"]),
            "exposure": draw.choice([None, [draw.uniform(0.1, 1), draw.uniform(1, 5)]]),
            "photo_electrons": [draw.uniform(1, 10), 10 ** draw.uniform(1, 8)],
            "jpeg_quality": [draw.randrange(1, 50), draw.randrange(50, 101)],
            "uncompressed": draw.random(),
        },
        "learning": {
            "steps": draw.randrange(1, 10**7),
            "learning_rate": 10 ** draw.uniform(-9, 0),
            "beta2": draw.uniform(0.5, 1),
            "clip": draw.choice([None, draw.uniform(0.1, 9)]),
            "precision": draw.choice(["auto", "fp32", "bf16", "fp16"]),
        },
        "card": {"data": draw.choice(["", "Mine: \N{GREEK SMALL LETTER ALPHA}, 50 % off # no comment"])},
    }


def test_the_form_is_there_at_once(qtbot: QtBot) -> None:
    find_hardware().result()
    seconds = []
    for _ in range(3):
        begin = time.thread_time()
        form = ConfigForm()
        seconds.append(time.thread_time() - begin)
        qtbot.addWidget(form)
        form.detach()
    assert min(seconds) < 0.2


def test_every_field_of_the_configuration_is_in_the_form(form: ConfigForm) -> None:
    dumped = TrainingConfig().model_dump()
    paths = {f"{name}.{field}" for name in config_sections() for field in dumped[name]} | set(dumped) - set(config_sections())
    assert set(form.rows) == paths
    for path, row in form.rows.items():
        assert form.isAncestorOf(row), path
        assert form.isAncestorOf(row.label), path
        assert row.label.text(), path


@pytest.mark.parametrize("path", config_fields())
def test_every_field_says_what_it_is(path: str) -> None:
    field = config_fields()[path]
    assert field.help.endswith("."), f"{path} is not described under Attributes"
    assert "`" not in field.help
    assert "napari_drcr." not in field.help


def test_labels_are_words(form: ConfigForm) -> None:
    texts = {path: row.label.text() for path, row in form.rows.items()}
    assert texts["camera.name"] == "Camera"
    assert texts["camera.jpeg_quality"] == "JPEG quality"
    assert texts["learning.ema_decay"] == "EMA decay"
    assert texts["network.released_npm"] == "Released NPM"
    assert "Optimiser steps of the whole run." in form.rows["learning.steps"].toolTip()


def test_kinds_of_values_have_editors_with_their_limits(form: ConfigForm) -> None:
    patch, share = field(form, "data.patch"), field(form, "camera.uncompressed")
    assert isinstance(patch, WholeEditor)
    assert (patch.box.minimum(), patch.box.singleStep()) == (16, 16)
    assert field(form, "seed").box.maximum() == 2**32 - 1
    assert isinstance(share, ShareEditor)
    assert (share.box.minimum(), share.box.maximum()) == (0, 1)
    share.box.stepBy(1)
    assert share.box.text() == "0.15"
    assert isinstance(field(form, "learning.learning_rate"), NumberEditor)
    assert isinstance(field(form, "camera.photo_electrons"), TupleEditor)
    assert isinstance(field(form, "data.rgb"), ChoiceEditor)
    assert isinstance(field(form, "data.validation"), NamesEditor)


def test_an_untouched_form_is_the_default(form: ConfigForm, qtbot: QtBot) -> None:
    assert form.content == {}
    assert form.config == TrainingConfig()
    wait_for_check(form, qtbot)
    assert form.errors == marked(form) == {}


def test_typing_a_bad_value_marks_its_field_and_fixing_it_unmarks(form: ConfigForm, qtbot: QtBot) -> None:
    wait_for_check(form, qtbot)
    rate = field(form, "learning.learning_rate").line
    with qtbot.waitSignal(form.changed):
        type_into(rate, "-1e-4", qtbot)
    wait_for_check(form, qtbot)
    assert marked(form) == form.errors == {"learning.learning_rate": "Input should be greater than 0."}
    assert form.folds["learning"].heading.text().endswith("1 to correct")
    with pytest.raises(InputError, match=r"learning\.learning_rate is -0\.0001"):
        _ = form.config
    type_into(rate, "1e-4", qtbot)
    wait_for_check(form, qtbot)
    assert marked(form) == form.errors == {}
    assert "correct" not in form.folds["learning"].heading.text()
    assert form.content == {"learning": {"learning_rate": 1e-4}}


@pytest.mark.parametrize(
    ("content", "path", "sentence"),
    [
        ({"name": "../x"}, "name", "Needs a letter or digit first"),
        ({"data": {"patch": 70}}, "data.patch", "multiple of 16"),
        ({"data": {"lights": ["candle"]}}, "data.lights", "There is no light 'candle'"),
        ({"data": {"rgb": "files", "lights": ["A"]}}, "data.lights", "Lights need a camera"),
        ({"data": {"normalisation": "maximum"}}, "data.normalisation", "a camera makes them here"),
        ({"camera": {"exposure": [2, 1]}}, "camera.exposure", "the smaller first"),
        ({"camera": {"exposure": [2, None]}}, "camera.exposure", "valid number"),
        ({"camera": {"jpeg_quality": [90, 80]}}, "camera.jpeg_quality", "the smaller first"),
        ({"camera": {"name": "gone.csv"}}, "camera.name", "There is no file 'gone.csv'"),
        ({"camera": {"name": "ntire2022", "exposure": [1, 2]}}, "camera.exposure", "sets its exposure automatically"),
        ({"network": {"channels": 8, "reduction": 9}}, "network.reduction", "leaves nothing of 8 channels"),
        ({"learning": {"learning_rate": "fast"}}, "learning.learning_rate", "valid number"),
        ({"learning": {"beta2": 1}}, "learning.beta2", "less than 1"),
        ({"learning": {"start_from": "nobody"}}, "learning.start_from", "There is no model 'nobody'"),
        ({"learning": {"start_from": "linear"}}, "learning.start_from", "per-pixel map, which does not learn by steps"),
    ],
)
def test_a_bad_value_is_marked_where_it_is(
    form: ConfigForm, qtbot: QtBot, content: dict[str, Any], path: str, sentence: str
) -> None:
    form.set_content(content)
    wait_for_check(form, qtbot)
    assert list(form.errors) == [path]
    assert sentence in form.errors[path]
    assert marked(form) == form.errors
    form.set_content({})
    wait_for_check(form, qtbot)
    assert marked(form) == form.errors == {}


def test_all_bad_values_are_marked_at_once(form: ConfigForm, qtbot: QtBot) -> None:
    form.set_content(
        {"name": "", "data": {"lights": ["candle"]}, "camera": {"name": "gone.csv"}, "learning": {"start_from": "no"}}
    )
    wait_for_check(form, qtbot)
    assert set(marked(form)) == set(form.errors) == {"name", "data.lights", "camera.name", "learning.start_from"}


def test_the_mark_is_seen_below_its_field(form: ConfigForm, qtbot: QtBot) -> None:
    form.resize(400, 760)
    form.show()
    form.set_content({"camera": {"name": "gone.csv"}})
    height = form.rows["camera.name"].height()
    wait_for_check(form, qtbot)
    qtbot.waitUntil(lambda: form.rows["camera.name"].height() > height)
    picture = form.rows["camera.name"].grab().toImage()
    colour = picture.pixelColor(picture.width() // 2, 0)
    assert colour.red() > 2 * max(colour.green(), colour.blue())


@pytest.mark.parametrize("name", presets())
def test_a_preset_fills_the_form(form: ConfigForm, name: str, qtbot: QtBot) -> None:
    title, sentence = describe_preset(name)
    assert form.preset.currentText() == OWN
    row = form.preset.findText(title)
    form.preset.setCurrentIndex(row)
    form.preset.activated.emit(row)
    assert form.config == read_config(name)
    assert form.preset.currentText() == title
    assert sentence in form.preset.toolTip()
    wait_for_check(form, qtbot)
    assert form.errors == {}
    field(form, "learning.steps").box.stepUp()
    assert form.preset.currentText() == OWN


def test_a_preset_leaves_alone_what_it_cannot_know(form: ConfigForm) -> None:
    kept = {
        "device": "cpu",
        "data": {"folder": "scenes", "quantity": "radiance", "validation": ["leaf"]},
        "card": {"licence": "CC0"},
    }
    form.set_content(kept | {"learning": {"steps": 7}})
    form.load("small")
    assert form.config == make_config(kept | {"name": "small", "network": {"channels": 32, "blocks": 4}})
    assert form.preset.currentData() == "small"


@pytest.mark.parametrize("name", presets())
def test_a_preset_survives_being_written_and_read(form: ConfigForm, name: str, tmp_path: Path) -> None:
    form.load(name)
    form.save_yaml(tmp_path / "mine.yaml")
    assert read_config(tmp_path / "mine.yaml") == read_config(name)
    form.set_content({})
    form.load(tmp_path / "mine.yaml")
    assert form.config == read_config(name)
    assert form.preset.currentData() == name


@pytest.mark.parametrize("seed", range(20))
def test_any_settings_survive_being_shown_written_and_read(form: ConfigForm, seed: int, tmp_path: Path) -> None:
    config = make_config(random_content(seed))
    form.set_content(random_content(seed))
    assert form.config == config
    form.save_yaml(tmp_path / "mine.yaml")
    assert read_config(tmp_path / "mine.yaml") == config
    form.set_content({})
    form.open_yaml(tmp_path / "mine.yaml")
    assert form.config == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", r"mine\.yaml: it is not a YAML file"),
        ("- 1", "holds list"),
        ("learning: {lr: 1}", r"mine\.yaml was not opened: learning\.lr is no field"),
        ("learning: 5", "learning is 5, but it is a section"),
        ("learning: {steps: many}", r"learning\.steps is 'many': Input should be a valid integer"),
        ("camera: {exposure: 2}", r"camera\.exposure is 2: "),
        ("data: {rgb: drawn}", r"data\.rgb is 'drawn': Input should be 'simulated' or 'files'"),
        ("network: {purification: perhaps}", r"network\.purification is 'perhaps'"),
        ("camera: {uncompressed: 2}", r"camera\.uncompressed is 2"),
        ("data: {validation: leaf}", r"data\.validation is 'leaf'"),
        ("camera: {name: [a]}", r"camera\.name is \['a'\]"),
        ("device: [a]", r"device is \['a'\]"),
        ("card: {data: [a]}", r"card\.data is \['a'\]"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence_and_changes_nothing(
    form: ConfigForm, text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    form.show()
    form.load("paper")
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        form.open_yaml(path)
    assert form.config == read_config("paper")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    form.open_button.click()
    assert "mine.yaml" in form.head.error
    wait_for_check(form, qtbot)
    assert form.head.isVisible()
    assert "mine.yaml" in form.head.error
    form.load("small")
    wait_for_check(form, qtbot)
    assert not form.head.isVisible()


def test_wrong_settings_are_not_saved(form: ConfigForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    form.set_content({"learning": {"beta2": 2}})
    form.save_button.click()
    assert form.head.error == "the form: learning.beta2 is 2.0: Input should be less than 1."
    assert not path.exists()
    form.set_content({"learning": {"beta2": 0.9}})
    form.save_button.click()
    assert not form.head.error
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["learning"]["beta2"] == 0.9


def test_optional_values_can_be_left_out_and_set_again(form: ConfigForm, qtbot: QtBot) -> None:
    clip, exposure = field(form, "learning.clip").line, field(form, "camera.exposure")
    clip.clear()
    assert form.content == {"learning": {"clip": None}}
    assert form.config.learning.clip is None
    type_into(clip, "2", qtbot)
    assert form.config.learning.clip == 2
    workers = field(form, "data.workers").line
    assert (workers.text(), workers.placeholderText()) == ("", "not set")
    type_into(workers, "3", qtbot)
    assert form.content["data"] == {"workers": 3}
    assert isinstance(form.content["data"]["workers"], int)
    workers.clear()
    assert form.config.data.workers is None
    type_into(exposure.editors[0].line, "0.5", qtbot)
    type_into(exposure.editors[1].line, "3", qtbot)
    assert form.config.camera.exposure == (0.5, 3)
    for editor in exposure.editors:
        editor.line.clear()
    assert form.config.camera.exposure is None
    quantity = field(form, "data.quantity").box
    quantity.setCurrentText("radiance")
    assert form.config.data.quantity == "radiance"
    quantity.setCurrentText("not set")
    assert form.config.data.quantity is None
    type_into(field(form, "data.folder").line, "scenes", qtbot)
    assert form.config.data.folder == Path("scenes")
    field(form, "data.folder").line.clear()
    assert form.config == make_config({"learning": {"clip": 2}})


def test_a_folder_is_chosen_in_a_dialog(form: ConfigForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    field(form, "data.folder").button.click()
    assert form.config.data.folder == tmp_path


def test_libraries_are_added_in_a_dialog(form: ConfigForm, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = field(form, "reflectances.files")
    for chosen in (["/data/soils, dry.sli", "/data/a.csv"], [], ["/data/a.csv", "/data/b.npz"]):
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, chosen=chosen: (chosen, ""))
        editor.button.click()
    assert editor.line.text() == "/data/soils, dry.sli; /data/a.csv; /data/b.npz"
    assert form.config.reflectances.files == (Path("/data/soils, dry.sli"), Path("/data/a.csv"), Path("/data/b.npz"))


def test_a_camera_is_chosen_by_name_or_from_a_file(form: ConfigForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box: QComboBox = field(form, "camera.name").box
    assert [box.itemText(row) for row in range(box.count())] == [*CAMERAS, "Choose CSV\N{HORIZONTAL ELLIPSIS}"]
    box.setCurrentText("ntire2022")
    assert form.config.camera.name == "ntire2022"
    choose = box.count() - 1
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    box.setCurrentIndex(choose)
    box.activated.emit(choose)
    assert form.config.camera.name == box.currentText() == "ntire2022"
    path = tmp_path / "mine.csv"
    path.write_text("wavelength,r,g,b\n" + "".join(f"{nm},1,1,1\n" for nm in range(400, 701, 10)), encoding="utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    box.setCurrentIndex(choose)
    box.activated.emit(choose)
    assert box.currentText() == "mine.csv"
    assert form.config.camera.name == str(path)


def test_only_networks_are_offered_to_start_from(form: ConfigForm) -> None:
    box: QComboBox = field(form, "learning.start_from").box
    offered = [box.itemText(row) for row in range(box.count())]
    assert offered[:2] == ["nothing", "photo"]
    assert not {"linear", "polynomial"} & set(offered)


def test_starting_from_a_model_shows_its_network_and_disables_it(form: ConfigForm, qtbot: QtBot, tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", load_model("ntire2022"))
    network = {path: row for path, row in form.rows.items() if path.startswith("network.")}
    form.set_content({"network": {"channels": 80, "blocks": 2, "released_npm": True}})
    for start in (str(tmp_path / "mine.safetensors"), "photo-drcr"):
        field(form, "learning.start_from").set_value(start)
        wait_for_check(form, qtbot)
        assert form.errors == {}
        its_own = network_of(start).model_dump()
        assert {path: row.editor.value for path, row in network.items()} == {
            f"network.{name}": its_own[name] for name in its_own
        }
        for row in network.values():
            assert not row.editor.isEnabled()
            assert f"that of {Path(start).name}" in row.toolTip()
        assert "network" not in form.content
        assert form.config == make_config({"learning": {"start_from": start}})
    field(form, "learning.start_from").set_value(None)
    assert all(row.editor.isEnabled() for row in network.values())
    assert form.config == make_config({"network": {"channels": 80, "blocks": 2, "released_npm": True}})


def test_a_device_that_is_not_here_is_kept(form: ConfigForm, qtbot: QtBot) -> None:
    form.set_content({"device": "cuda:7"})
    box = form.rows["device"].editor.findChild(QComboBox)
    qtbot.waitUntil(lambda: box.itemText(0) != "auto", timeout=60_000)
    assert form.config.device == "cuda:7"
    assert box.currentText() == "cuda:7"
    box.setCurrentIndex(0)
    assert form.config.device == "auto"


def test_lights_are_completed_behind_each_comma(form: ConfigForm, qtbot: QtBot) -> None:
    form.folds["data"].open()
    form.show()
    line = field(form, "data.lights").line
    form.activateWindow()
    line.setFocus()
    qtbot.waitUntil(lambda: line.completer() is not None, timeout=20_000)
    qtbot.keyClicks(line, "D65, fl")
    completer = line.completer()
    completer.setCompletionPrefix(line.text())
    found = {completer.pathFromIndex(completer.completionModel().index(row, 0)) for row in range(completer.completionCount())}
    assert "D65, FL2" in found
    assert all(text.startswith("D65, FL") for text in found)


def test_nothing_is_cut_off_in_a_narrow_dock(form: ConfigForm, qtbot: QtBot) -> None:
    form.resize(400, 760)
    form.show()
    for fold in form.folds.values():
        fold.open()
    form.set_content({"data": {"lights": ["candle"]}, "camera": {"exposure": [2, 1], "name": "gone.csv"}, "name": "?"})
    wait_for_check(form, qtbot)
    area = form.findChild(QScrollArea)
    qtbot.waitUntil(lambda: area.widget().width() == area.viewport().width())
    assert form.minimumSizeHint().width() <= 400
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
    for path, row in form.rows.items():
        assert row.mapTo(area.widget(), QPoint(row.width(), 0)).x() <= area.viewport().width(), path
        assert row.label.width() >= row.label.sizeHint().width(), path
    assert {path for path in ESSENTIALS if form.rows[path].isVisible()} == set(ESSENTIALS)


def test_the_wheel_scrolls_and_changes_nothing(form: ConfigForm, qtbot: QtBot) -> None:
    form.show()
    box = field(form, "learning.steps").box
    before = form.config
    at = QPointF(box.rect().center())
    none = Qt.KeyboardModifier.NoModifier
    turned = QWheelEvent(
        at, box.mapToGlobal(at), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, none, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(box, turned)
    assert form.config == before


def test_a_detached_form_checks_no_more(form: ConfigForm, qtbot: QtBot) -> None:
    form.set_content({"name": "?"})
    form.detach()
    with qtbot.assertNotEmitted(form.checked, wait=600):
        pass
