"""Reference spectra from tables, from ENVI spectral libraries that the spectral package writes, and from the ColorChecker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spectral.io.envi as envi

import napari_drcr as nd
from napari_drcr.io import read_library
from napari_drcr.io.library import Library, colorchecker

NM = [400.0, 500.0, 600.0]
SPECTRA = np.array([[0.1, 0.2, 0.3], [0.5, 0.25, 0.125]])


def save_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def save_sli(folder: Path, values: np.ndarray = SPECTRA, **fields: Any) -> Path:
    """Save a library with the spectral package; underscores in field names stand for spaces."""
    header = {"file type": "ENVI Spectral Library", "spectra names": ["leaf", "soil"], "wavelength": NM}
    header |= {"wavelength units": "Nanometers"} | {key.replace("_", " "): value for key, value in fields.items()}
    envi.SpectralLibrary(values, header).save(str(folder / "field"))
    return folder / "field.sli"


@pytest.mark.parametrize(
    "table",
    [
        "wavelength (nm),leaf,soil\n400,0.1,0.5\n500,0.2,0.25\n600,0.3,0.125\n",
        "# measured on Monday\nleaf,Wavelength_um,soil\n.1,0.4 ,0.5\n.2,0.5,0.25\n.3,0.6,0.125\n\n",
        "Wavelength [nm];leaf;soil\n400,0;0,1;0,5\n500,0;0,2;0,25\n600,0;0,3;0,125\n",
        "name,400 nm,500 nm,600 nm\nleaf,0.1,0.2,0.3\nsoil,0.5,0.25,0.125\n",
        "id\tmaterial\t0.4um\t0.5um\t0.6um\n1\tleaf\t0.1\t0.2\t0.3\n2\tsoil\t0.5\t0.25\t0.125\n",
    ],
    ids=["columns", "micrometres", "decimal commas", "rows", "tabs"],
)
def test_tables_of_either_direction_are_known_by_their_header(tmp_path: Path, table: str) -> None:
    library = read_library(save_text(tmp_path / "field.csv", table))
    assert library.name == "field"
    assert library.names == ("leaf", "soil")
    assert library.wavelengths.tolist() == NM
    np.testing.assert_allclose(library.values, SPECTRA)


def test_spectra_come_labelled(tmp_path: Path) -> None:
    library = read_library(save_sli(tmp_path))
    assert library.spectra.dims == ("material", "wavelength")
    assert library.spectra["wavelength"].attrs["units"] == "nm"
    assert library.spectra.sel(material="soil", wavelength=500).item() == 0.25
    soil = library.spectrum("soil")
    assert (soil.name, soil.dims, soil["material"].item()) == ("field", ("wavelength",), "soil")
    with pytest.raises(nd.InputError, match="no spectrum 'snow'"):
        library.spectrum("snow")


def test_an_envi_library_opens_by_either_of_its_files(tmp_path: Path) -> None:
    save_sli(tmp_path, wavelength=[0.4, 0.5, 0.6], wavelength_units="Micrometers")
    for name in ("field.sli", "field.hdr"):
        library = read_library(tmp_path / name)
        assert (library.names, library.wavelengths.tolist()) == (("leaf", "soil"), NM)
        np.testing.assert_allclose(library.values, SPECTRA)


def test_units_and_order_that_had_to_be_assumed_are_told(tmp_path: Path) -> None:
    path = save_text(tmp_path / "field.csv", "wavelength,leaf\n0.6,0.3\n0.5,0.2\n0.4,0.1\n")
    with pytest.warns(nd.Notice) as told:
        library = read_library(path)
    assert "taken as micrometres" in str(told[0].message)
    assert "have been sorted" in str(told[1].message)
    assert library.wavelengths.tolist() == NM
    assert library.values.tolist() == [[0.1, 0.2, 0.3]]


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    deleted = np.array([[0.1, -1.23e34, 0.3], [0.5, 0.25, 0.125]])  # as in the libraries of the USGS
    leaf = read_library(save_sli(tmp_path, deleted)).spectrum("leaf")
    assert leaf["wavelength"].values.tolist() == [400, 600]
    table = read_library(save_text(tmp_path / "field.csv", "nm,leaf,soil\n400,,1\n500,2,1\n"))
    assert table.spectrum("leaf")["wavelength"].values.tolist() == [500]


def test_the_colorchecker_has_24_patches() -> None:
    chart = colorchecker()
    assert len(chart.names) == 24
    assert {"dark skin", "red", "cyan"} <= set(chart.names)
    assert (chart.wavelengths[0], chart.wavelengths[-1]) == (380, 730)
    white = chart.spectra[18].sel(wavelength=slice(430, 700))
    assert 0.85 < white.min() < white.max() < 0.95


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("leaf,soil\n1,2\n", "neither a column 'wavelength' nor one wavelength"),
        ("wavelength (nm),leaf\n", "no table of spectra"),
        ("wavelength (nm),leaf\n400,bright\n", "line 2 holds a cell that is no number"),
        ("wavelength (nm),leaf\n400,1\n,2\n", "line 3 has no wavelength"),
        ("wavelength (nm),leaf\n400,1\n500\n", "line 3 has 1 cells, but the header 2"),
        ("wavelength (nm),leaf\n400,1\n400,2\n", "must be positive and ascend"),
        ("wavelength (nm),leaf,leaf\n400,1,2\n", "two of its spectra are called 'leaf'"),
        ("wavelength (nm),leaf,soil\n400,1,\n", "'soil' holds no numbers"),
        ("wavelength (nm)\n400\n", "0 names"),
        ("400 nm,500 nm\n1,2\n", "no column names its spectra"),
        ("<!DOCTYPE html>", "web page"),
    ],
)
def test_bad_tables_are_refused_in_a_sentence(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(nd.InputError, match=f"^field.csv: .*{sentence}"):
        read_library(save_text(tmp_path / "field.csv", table))


def test_a_table_that_counts_its_bands_has_no_wavelengths(tmp_path: Path) -> None:
    path = save_text(tmp_path / "field.csv", "wavelength,leaf\n1,0.1\n2,0.2\n")
    with pytest.warns(nd.Notice, match="only count the bands"), pytest.raises(nd.InputError, match="no wavelengths"):
        read_library(path)


def test_damaged_libraries_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = save_sli(tmp_path)
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(nd.InputError, match="damaged, truncated"):
        read_library(path)
    header = path.with_suffix(".hdr")
    path.unlink()
    with pytest.raises(nd.InputError, match="no data file"):
        read_library(header)
    save_sli(tmp_path)
    header.unlink()
    with pytest.raises(nd.InputError, match="no ENVI header"):
        read_library(path)
    with pytest.raises(nd.InputError, match="no such file"):
        read_library(tmp_path / "missing.csv")


def test_a_cube_is_no_library(tmp_path: Path) -> None:
    envi.save_image(str(tmp_path / "scene.hdr"), np.ones((4, 5, 3), np.float32))
    with pytest.raises(nd.InputError, match="no ENVI spectral library"):
        read_library(tmp_path / "scene.hdr")


def test_a_library_without_wavelengths_is_refused(tmp_path: Path) -> None:
    header = {"file type": "ENVI Spectral Library"}
    envi.SpectralLibrary(SPECTRA, header).save(str(tmp_path / "field"))
    with pytest.raises(nd.InputError, match="gives no wavelengths"):
        read_library(tmp_path / "field.sli")


def test_names_and_values_must_fit() -> None:
    with pytest.raises(nd.InputError, match="1 names and 3 wavelengths do not fit"):
        Library("field", np.array(NM), ("leaf",), SPECTRA)
