"""Choosing a network in the form of a run: real widgets, real networks, no viewer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_drcr.models.architecture import find_architecture, trainable_families
from napari_drcr.widgets.train.config_form import ConfigForm
from napari_drcr.widgets.train.preset_choice import OWN

NETWORK = "network.architecture"


@pytest.fixture
def form(qtbot: QtBot) -> Iterator[ConfigForm]:
    """At the least width of the dock, the section of the network open."""
    form = ConfigForm()
    qtbot.addWidget(form)
    form.resize(300, 700)
    form.folds["network"].open()
    form.show()
    yield form
    form.detach()


def choose_size(form: ConfigForm, name: str) -> None:
    row = form.network_size.findText(name)
    form.network_size.setCurrentIndex(row)
    form.network_size.activated.emit(row)


def tooltip(box: Any, id: str) -> str:
    return str(box.itemData(box.findData(id), Qt.ItemDataRole.ToolTipRole))


def test_networks_stand_below_their_families(form: ConfigForm) -> None:
    box = form.rows[NETWORK].editor.box
    expected: list[tuple[str, bool]] = []
    for family, found in trainable_families().items():
        expected += [(family.lower(), False), *((architecture.title.lower(), True) for architecture in found)]
    rows = [(box.itemText(row).lower(), box.model().item(row).isEnabled()) for row in range(box.count())]
    assert rows == expected
    with pytest.raises(ValueError, match=r"'nobody' is none of drcr, "):
        form.rows[NETWORK].editor.set_value("nobody")


def test_a_network_is_chosen_with_one_of_its_sizes(form: ConfigForm) -> None:
    form.rows[NETWORK].editor.set_value("edsr")
    edsr = find_architecture("edsr")
    assert [form.network_size.itemText(row) for row in range(form.network_size.count())] == [OWN, *edsr.presets]
    assert form.network_size.currentText() == "small"
    choose_size(form, "published")
    assert form.config.network == edsr.presets["published"]
    assert form.network_size.currentText() == "published"
    blocks = form.rows["network.blocks"].editor
    blocks.set_value(blocks.value + 1)
    assert form.network_size.currentText() == OWN
    choose_size(form, "small")
    assert form.content == {"network": {"architecture": "edsr"}}
    assert form.rows["learning.learning_rate"].editor.line.placeholderText() == "0.0001, that of the network"
    assert form.config.learning_rate == edsr.learning_rate


def test_it_says_what_a_network_costs_and_where_it_comes_from(form: ConfigForm, qtbot: QtBot) -> None:
    facts, box = form.network_facts, form.rows[NETWORK].editor.box
    qtbot.waitUntil(lambda: "0.56 million parameters; 126 GMAC" in facts.text(), timeout=120_000)
    assert facts.text().endswith("1.00 times as many as DRCR Net, small.")
    choose_size(form, "published")
    qtbot.waitUntil(lambda: "9.5 million parameters" in facts.text(), timeout=120_000)
    form.rows[NETWORK].editor.set_value("lfb")
    assert find_architecture("lfb").reference in facts.text()
    assert find_architecture("lfb").assumptions[0].split(",")[0] in facts.toolTip()
    assert find_architecture("lfb").paper in tooltip(box, "lfb")
    _, second = (architecture.id for found in islice(trainable_families().values(), 2) for architecture in found[:1])
    qtbot.waitUntil(lambda: "times as many as" in tooltip(box, second), timeout=120_000)


def test_what_a_run_starts_from_says_which_network_it_is(form: ConfigForm, qtbot: QtBot) -> None:
    form.rows[NETWORK].editor.set_value("edsr")
    with qtbot.waitSignal(form.checked, timeout=20_000):
        form.rows["learning.start_from"].editor.set_value("photo-drcr")
    assert form.rows[NETWORK].editor.value == "drcr"
    assert "Li et al." in form.network_facts.text()
    assert not form.network_size.isEnabled()
    form.rows["learning.start_from"].editor.set_value(None)
    assert form.rows[NETWORK].editor.value == "edsr"
    assert "Lim et al." in form.network_facts.text()
    assert form.network_size.isEnabled()


def test_every_network_fits_the_narrow_dock(form: ConfigForm) -> None:
    for found in trainable_families().values():
        for architecture in found:
            form.rows[NETWORK].editor.set_value(architecture.id)
            assert form.folds["network"].minimumSizeHint().width() <= 280, architecture.id
            assert {name for name in form.config.network.model_dump() if f"network.{name}" not in form.rows} == set()
