"""docs/networks.md, against what the networks say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.models.architecture import Architecture, ForeignLayout, architectures

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
TRAINABLE = [architecture for architecture in architectures() if architecture.trainable]
LAYOUTS = [(architecture, layout) for architecture in TRAINABLE for layout in architecture.foreign]
SCALES = {
    "white": "white at 1",
    "maximum": "its maximum at 1",
    "range": "its minimum at 0, its maximum at 1",
    "bytes": "0 to 255",
}
PLACES = re.compile(r"\d+(?:st|nd|rd|th)|20\d\d")

each_network = pytest.mark.parametrize("architecture", TRAINABLE, ids=lambda architecture: architecture.id)


@each_network
def test_each_network_has_a_row_with_its_facts(architecture: Architecture) -> None:
    (row,) = (cells for cells in ROWS if cells[1] == f"`{architecture.id}`")
    title, _, year, rank, published, small, *_ = row
    assert (title, year) == (architecture.title, str(architecture.year))
    assert set(PLACES.findall(rank)) == set(PLACES.findall(architecture.rank))
    for preset, millions in (("published", published), ("small", small)):
        with torch.device("meta"):
            count = architecture.count(architecture.build(architecture.presets[preset], len(WAVELENGTHS)))
        assert millions == f"{count / 1e6:.2f}"


@each_network
def test_each_network_has_a_paragraph_that_tells_what_is_assumed(architecture: Architecture) -> None:
    (paragraph,) = (text for text in PAGE.split("\n\n") if text.startswith(f"**{architecture.title}** (`{architecture.id}`)"))
    assert bool(architecture.assumptions) == bool(re.search(r"\bassume\b", paragraph))


@pytest.mark.parametrize(("architecture", "layout"), LAYOUTS, ids=[f"{each.id}-{layout.source}" for each, layout in LAYOUTS])
def test_each_layout_of_others_has_a_row(architecture: Architecture, layout: ForeignLayout) -> None:
    (row,) = (cells for cells in ROWS if cells[:2] == [architecture.title, layout.source])
    assert row[3] == SCALES[layout.normalisation]
