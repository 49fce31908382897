"""Files in and out, known by content: cubes (MATLAB, ENVI, netCDF, TIFF, CAVE), RGB (PNG, JPEG, TIFF, BMP), spectra."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_drcr.errors import InputError
from napari_drcr.system.files import first_bytes, naming

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    from napari_drcr.io.library import Library

__all__ = [
    "CUBE_SUFFIXES",
    "IMAGE_SUFFIXES",
    "by_stem",
    "cube_files",
    "find_cubes",
    "find_images",
    "list_images",
    "looks_like_cube",
    "read_cube",
    "read_libraries",
    "read_library",
    "read_rgb",
    "scene_name",
    "write_cube",
]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NETCDF_CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_READABLE = (
    "MATLAB (.mat, version 7.3 or 5), ENVI (.hdr with its data file), netCDF (.nc), TIFF (.tif, one page a band) "
    "and CAVE folders (<scene>_ms)"
)

CUBE_SUFFIXES = (".mat", ".hdr", ".nc", ".tif", ".tiff")
"""What `write_cube` writes."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""What `find_images` takes for an image."""


def read_cube(path: str | os.PathLike[str], *, lazy: bool = False) -> xr.DataArray:
    """Read a cube from a MATLAB, netCDF or TIFF file, an ENVI header or data file, or a CAVE scene folder.

    The format is found from the content. What had to be assumed, such as missing wavelengths, is said in a `Notice`.

    Parameters
    ----------
    path : path-like
        The file, or the folder of a CAVE scene.
    lazy : bool
        Whether to leave the values in the file and read them when, and as far as, they are needed. That is so for ENVI, MATLAB 7.3,
        netCDF 4 and uncompressed TIFF; others are read as always. The file stays open as long as anything holds the cube: if it is
        changed until then, reading raises an InputError, and Windows refuses to replace it.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x), float32
        A cube as `make_cube` builds it, with its wavelengths in nm, its quantity and its scale. A lazy one holds a dask array.

    Raises
    ------
    InputError
        In one sentence that starts with the file's name: there is no such file, it is damaged, or it holds no cube.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from napari_drcr.cubes.cube import make_cube
    >>> path = Path(tempfile.mkdtemp()) / "scene.mat"
    >>> write_cube(path, make_cube(np.ones((2, 3, 4)), [450, 550], quantity="reflectance"))
    >>> read_cube(path).sizes["wavelength"]
    2
    """
    path = Path(path)
    with naming(path):
        found = _cube_format(path)
        if found == "HDF5":
            from napari_drcr.io.netcdf import is_netcdf

            found = "netCDF" if is_netcdf(path) else "MATLAB"
        if found == "MATLAB":
            from napari_drcr.io.matlab import read_matlab

            return read_matlab(path, lazy)
        if found == "netCDF":
            from napari_drcr.io.netcdf import read_netcdf

            return read_netcdf(path, lazy)
        if found == "TIFF":
            from napari_drcr.io.tiff import read_tiff

            return read_tiff(path, lazy)
        if found == "ENVI":
            from napari_drcr.io.envi import read_envi

            return read_envi(path, lazy)
        if found == "CAVE":
            from napari_drcr.io.cave import read_cave

            return read_cave(path)
        kind = "folder" if path.is_dir() else "file"
        raise InputError(f"this {kind} is no cube that can be read; known are {_READABLE}.")


def write_cube(path: str | os.PathLike[str], cube: xr.DataArray) -> None:
    """Write a cube in the format that the suffix names.

    Parameters
    ----------
    path : path-like
        ``.mat`` writes MATLAB version 7.3, ``.hdr`` an ENVI header with its data file (``.img``), ``.nc`` netCDF 4, and ``.tif``
        or ``.tiff`` a TIFF of one page a band. A file that is already there is replaced once the new one is whole.
    cube : xarray.DataArray, shape (bands, y, x)
        The cube; stored as float32 with its wavelengths and attributes.

    Raises
    ------
    InputError
        If this is no cube, the suffix is another, its attributes do not go into a file, or the file cannot be written.
    """
    from napari_drcr.cubes.cube import check_cube
    from napari_drcr.io._reading import check_labels

    path = Path(path)
    check_cube(cube)
    with naming(path):
        check_labels(cube.attrs)
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise InputError("the name holds characters that are no text; choose another.") from error
    suffix = path.suffix.lower()
    if suffix == ".mat":
        from napari_drcr.io.matlab import write_matlab

        write_matlab(path, cube)
    elif suffix == ".hdr":
        from napari_drcr.io.envi import write_envi

        write_envi(path, cube)
    elif suffix == ".nc":
        from napari_drcr.io.netcdf import write_netcdf

        write_netcdf(path, cube)
    elif suffix in (".tif", ".tiff"):
        from napari_drcr.io.tiff import write_tiff

        write_tiff(path, cube)
    else:
        kinds = ".mat (MATLAB), .hdr (ENVI), .nc (netCDF) or .tif (TIFF)"
        raise InputError(f"{path.name}: cubes are written as {kinds}, not as {suffix or 'a name without suffix'}.")


def read_rgb(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read an RGB image from a PNG, JPEG, TIFF or BMP file.

    Parameters
    ----------
    path : path-like
        The file; its format is found from its content.

    Returns
    -------
    ndarray, shape (y, x, 3), uint8, uint16 or float32
        sRGB-encoded, EXIF orientation applied, alpha dropped with a `Notice`. Values are those of the file, unless its
        colour profile is not sRGB: then they are converted, with a `Notice`, and 8 bits become 16 to avoid rounding twice.

    Raises
    ------
    InputError
        In one sentence that starts with the file's name: there is no such file, it is damaged, or it is no RGB image.
    """
    from napari_drcr.io.rgb import read_rgb_file

    path = Path(path)
    with naming(path):
        return read_rgb_file(path)


def read_library(path: str | os.PathLike[str]) -> Library:
    """Read reference spectra from a CSV file or an ENVI spectral library.

    Parameters
    ----------
    path : path-like
        An ENVI spectral library (its ``.sli`` or its ``.hdr``), or a table of commas, semicolons or tabs whose first line is
        its header. Either it has a column ``wavelength``, such as ``wavelength (nm)`` or ``Wavelength [um]``, and another column
        a material; or the header names the wavelengths, such as ``400`` or ``400 nm``, and a column ``name`` the material of each
        row. Empty cells are gaps; lines that begin with ``#`` are left out. Wavelengths without a unit are taken as nm, or
        micrometres if they are below 100; both this and bands out of order, which are sorted, are reported with a `Notice`.

    Returns
    -------
    napari_drcr.io.library.Library
        Names, wavelengths in nm, and spectra.

    Raises
    ------
    InputError
        In one sentence that starts with the file's name: there is no such file, it is damaged, or it holds no such spectra.
    """
    from napari_drcr.io.library import read_library_file

    path = Path(path)
    with naming(path):
        return read_library_file(path)


def read_libraries(path: str | os.PathLike[str]) -> tuple[Library, ...]:
    """Read all collections of reference spectra that a file holds.

    Parameters
    ----------
    path : path-like
        A file that `read_library` takes, which is one collection, named for the file; or a NumPy archive (``.npz``) with an array
        ``wavelengths_nm`` (bands,) and for each collection an array ``reflectances_NAME`` (spectra, bands). Other arrays of the
        archive are not read.

    Returns
    -------
    tuple of napari_drcr.io.library.Library
        Sorted by name.

    Raises
    ------
    InputError
        As `read_library`.
    """
    from napari_drcr.io.library import read_archive

    path = Path(path)
    if path.suffix.lower() != ".npz":
        return (read_library(path),)
    with naming(path):
        return read_archive(path)


def looks_like_cube(path: str | os.PathLike[str]) -> bool:
    """Whether `read_cube` would try to read this, judged by the first bytes; of a TIFF, also by its kind and number of pages.

    Parameters
    ----------
    path : path-like
        Any file or folder, or one that does not exist.

    Returns
    -------
    bool
        Never raises.
    """
    try:
        return _cube_format(Path(path)) is not None
    except (InputError, OSError, TypeError, ValueError):
        return False


def find_cubes(folder: str | os.PathLike[str]) -> list[Path]:
    """List the cubes in a folder, each once.

    Parameters
    ----------
    folder : path-like
        A folder. Files and folders in it whose names begin with a dot are passed over.

    Returns
    -------
    list of pathlib.Path
        Whatever `looks_like_cube` in it, sorted; of an ENVI cube the header, not the data file.

    Raises
    ------
    InputError
        If there is no such folder, or it cannot be opened.
    """
    from napari_drcr.io.envi import find_header

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    with naming(folder):
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return [entry for entry in entries if looks_like_cube(entry) and (entry.is_dir() or find_header(entry) in (None, entry))]


def find_images(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The RGB images in a folder, by the stem of their names.

    Parameters
    ----------
    folder : path-like
        A folder. Images are recognised by their suffix; a file that holds a cube is not one.

    Returns
    -------
    dict of str to pathlib.Path
        Sorted.

    Raises
    ------
    InputError
        If there is no such folder, it cannot be opened, or two images share a stem.
    """
    return by_stem(list_images(folder))


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the RGB images in a folder.

    Parameters
    ----------
    folder : path-like
        As for `find_images`.

    Returns
    -------
    list of pathlib.Path
        Sorted; several may share a stem.

    Raises
    ------
    InputError
        If there is no such folder, or it cannot be opened.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    with naming(folder):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return [path for path in files if not looks_like_cube(path)]


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Cubes or images by the name of their scene.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Files, and folders of CAVE scenes, which are called ``<scene>_ms``.

    Returns
    -------
    dict of str to pathlib.Path
        In the order given.

    Raises
    ------
    InputError
        If two share a name.
    """
    scenes: dict[str, Path] = {}
    for path in paths:
        name = scene_name(path)
        if name in scenes:
            raise InputError(f"{path.name} and {scenes[name].name} in {path.parent} are both scene {name!r}; keep one.")
        scenes[name] = path
    return scenes


def scene_name(path: Path) -> str:
    """What the scene of a cube or an image is called.

    Parameters
    ----------
    path : pathlib.Path
        A file, or the folder of a CAVE scene.

    Returns
    -------
    str
        The name without suffix, of a folder without ``_ms``.
    """
    return path.name.removesuffix("_ms") if path.is_dir() else path.stem


def cube_files(path: str | os.PathLike[str]) -> list[Path]:
    """List the files whose contents make a cube, so that it can be known again by them.

    Parameters
    ----------
    path : path-like
        What `read_cube` reads.

    Returns
    -------
    list of pathlib.Path
        An ENVI header and its data file, the pages of a CAVE scene by name, or the file itself.

    Raises
    ------
    InputError
        In one sentence that starts with the file's name: there is no such file, or it is no cube.
    """
    path = Path(path)
    with naming(path):
        found = _cube_format(path)
        if found is None:
            raise InputError(f"this is no cube that can be read; known are {_READABLE}.")
        if found == "ENVI":
            from napari_drcr.io.envi import header_and_data

            return list(header_and_data(path))
        if found == "CAVE":
            from napari_drcr.io.cave import scene_pages

            return scene_pages(path)
        return [path]


def _cube_format(path: Path) -> str | None:
    if path.is_dir():
        from napari_drcr.io.cave import scene_folder

        return None if scene_folder(path) is None else "CAVE"
    from napari_drcr.io._reading import TIFF

    head = first_bytes(path)
    if head.startswith((_HDF5, b"MATLAB 7.3")) or head[512:].startswith(_HDF5):
        return "HDF5"
    if head.startswith(b"MATLAB 5.0"):
        return "MATLAB"
    if head.startswith(_NETCDF_CLASSIC):
        return "netCDF"
    if head.startswith(TIFF):
        from napari_drcr.io.tiff import check_holds_cube

        check_holds_cube(path)
        return "TIFF"
    if path.suffix.lower() == ".mat":
        raise InputError("this is no MATLAB file of version 7.3 or 5, despite its name; save it again with save -v7.3.")
    from napari_drcr.io.envi import find_header

    return None if find_header(path) is None else "ENVI"
