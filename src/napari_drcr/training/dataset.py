"""A data folder: its layout, its scenes and which of them are held back, by names alone; and one made of given cubes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_drcr.errors import InputError
from napari_drcr.io import cube_files, find_cubes, find_images, list_images, looks_like_cube, scene_name, write_cube
from napari_drcr.training.sections import DataConfig

if TYPE_CHECKING:
    import xarray as xr

LAYOUT = {
    "Train_spectral": "Train_RGB",
    "Valid_spectral": "Valid_RGB",
    "Valid_soectral": "Valid_RGB",  # as the README of the published code spells it
    "Train_Spec": "Train_RGB",
    "Valid_Spec": "Valid_RGB",
}
"""Folders of cubes and of their images, as ARAD_1K is laid out for DRCR Net and for MST++."""
SURELY_CUBES = (".mat", ".nc", ".hdr")
"""Suffixes of files that are meant as cubes, even if they turn out not to be."""
HELD_BACK_LIST = Path("split_txt") / "valid_list.txt"
"""Where MST++ lists the scenes that are held back, one per line."""


@dataclass(frozen=True)
class SceneFiles:
    """A scene of a data folder.

    Attributes
    ----------
    name : str
        The cube's file name without suffix; of a CAVE folder without ``_ms``.
    cube : Path
    rgb : Path or None
        The image of the same name, where there is one.
    held_back : bool
        For validation.
    """

    name: str
    cube: Path
    rgb: Path | None
    held_back: bool


@dataclass(frozen=True)
class DataFolder:
    """What a data folder holds by its names alone.

    Attributes
    ----------
    path : Path
    layout : str
        Which of the known ones, in words.
    scenes : tuple of SceneFiles
        Sorted by name.
    left_out : tuple of Path
        Files with the suffix of a cube that are not cubes.
    doubled : dict of str to str
        Names that two cubes or two images share, and a sentence on each.
    problems : tuple of str
        Sentences on what prevents training with it, including `doubled`.
    """

    path: Path
    layout: str
    scenes: tuple[SceneFiles, ...]
    left_out: tuple[Path, ...]
    doubled: dict[str, str]
    problems: tuple[str, ...]


def find_scenes(config: DataConfig) -> list[SceneFiles]:
    """The scenes of a data folder.

    Parameters
    ----------
    config : DataConfig
        Its folder, and the scenes to hold back.

    Returns
    -------
    list of SceneFiles
        Sorted by name; see `look_into`.

    Raises
    ------
    InputError
        As `look_into`; if there is nothing to learn from or nothing to validate on, or two cubes have one name.
    """
    found = look_into(config)
    if found.problems:
        raise InputError(found.problems[0])
    return list(found.scenes)


def look_into(config: DataConfig) -> DataFolder:
    """What a data folder holds, and what prevents training with it.

    Parameters
    ----------
    config : DataConfig
        Its folder, and the scenes to hold back.

    Returns
    -------
    DataFolder
        Known are the layout of ARAD_1K for DRCR Net (``Train_spectral``, ``Train_RGB``, ``Valid_spectral``, ``Valid_RGB``), that
        of MST++ (``Train_Spec``, ``Train_RGB``, ``split_txt/valid_list.txt``), CAVE (one folder per scene), and cubes and images side by
        side. Of two cubes of one name the first is taken.

    Raises
    ------
    InputError
        If no folder is given, or it cannot be opened.
    """
    if config.folder is None:
        raise InputError("no data folder is given: name it in data.folder or with --data.")
    folder = config.folder.expanduser()
    if not folder.is_dir():
        raise InputError(f"the data folder {folder} does not exist.")
    sides = [(folder / cubes, folder / images) for cubes, images in LAYOUT.items() if (folder / cubes).is_dir()]
    sides = sides or [(folder, folder)]
    doubled: dict[str, str] = {}
    cubes = _by_name((path for side, _ in sides for path in find_cubes(side)), doubled)
    images: dict[str, Path] = {}
    for side in dict.fromkeys(side for _, side in sides if side.is_dir()):
        images |= _by_name(list_images(side), doubled)
    listed = folder / HELD_BACK_LIST
    lines = listed.read_text("utf-8", errors="replace").splitlines() if listed.is_file() else []
    names = {Path(line.strip()).stem for line in lines} | set(config.validation)
    scenes = tuple(
        SceneFiles(name, cube, images.get(name) or _image_within(cube), name in names or cube.parent.name.startswith("Valid"))
        for name, cube in sorted(cubes.items())
    )
    problems = list(doubled.values())
    if unknown := set(config.validation) - cubes.keys():
        problems.append(f"data.validation names {', '.join(sorted(unknown))}, which {folder} does not hold.")
    held_back = sum(scene.held_back for scene in scenes)
    if not 0 < held_back < len(scenes):
        problems.append(
            f"{folder} gives {len(scenes) - held_back} training and {held_back} validation cubes, both are needed: "
            "hold some back in Valid_spectral or by name in data.validation."
        )
    left_out = tuple(
        path
        for side, _ in sides
        for path in sorted(side.iterdir())
        if path.suffix.lower() in SURELY_CUBES and not path.name.startswith(".") and not looks_like_cube(path)
    )
    return DataFolder(folder, _layout(folder, cubes.values()), scenes, left_out, doubled, tuple(problems))


def _by_name(paths: Iterable[Path], doubled: dict[str, str]) -> dict[str, Path]:
    """The first path of each scene name; a sentence on each further one is added to `doubled`."""
    found: dict[str, Path] = {}
    for path in paths:
        name = scene_name(path)
        if (first := found.setdefault(name, path)) != path:
            doubled[name] = f"{path.name} and {first.name} in {path.parent} are both scene {name!r}; keep one."
    return found


def _layout(folder: Path, cubes: Iterable[Path]) -> str:
    for name in LAYOUT:
        if (folder / name).is_dir():
            return "ARAD_1K, as for MST++" if name.endswith("Spec") else "ARAD_1K, as for DRCR Net"
    return "CAVE" if any(cube.is_dir() for cube in cubes) else "cubes side by side"


def _image_within(cube: Path) -> Path | None:
    """The rendering that a CAVE scene folder brings along."""
    if not cube.is_dir():
        return None
    inside = find_images(cube_files(cube)[0].parent)
    return next((path for path in inside.values() if path.suffix.lower() == ".bmp"), None)


def propose_split(names: Iterable[str], share: float = 0.2, seed: int = 0) -> list[str]:
    """Choose scenes to hold back; what `DataConfig.validation` takes.

    Parameters
    ----------
    names : iterable of str
        Of all scenes, in any order.
    share : float
        Of them to hold back, between 0 and 1; at least one scene, and not all.
    seed : int
        Another one gives another choice. The same gives the same everywhere, and scenes that are added later move few others.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    InputError
        If there are fewer than two scenes, or the share leaves nothing of one side.

    Examples
    --------
    >>> propose_split(["leaf", "soil", "stone", "water", "wood"])
    ['wood']
    """
    known = set(names)
    if not 0 < share < 1:
        raise InputError(f"the share of scenes that are held back must lie between 0 and 1, not be {share:g}.")
    if len(known) < 2:
        raise InputError(f"a split needs at least two scenes, but there is {len(known)}; cut it into two cubes.")
    count = min(max(1, round(share * len(known))), len(known) - 1)
    drawn = sorted(known, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return sorted(drawn[:count])


def export_scenes(cubes: Mapping[str, xr.DataArray], folder: Path) -> list[str]:
    """Write cubes, such as those that are open in napari, as a data folder, so that a run can be repeated without them.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        Names and cubes (bands, y, x); lazy ones are read piece by piece.
    folder : Path
        Made if it is not there, else empty; best ``scenes`` within the run's folder.

    Returns
    -------
    list of str
        What the scenes are called there, in the order given: characters that file systems reject become ``_``, and names that
        would then be the same are numbered. Each is a netCDF file.

    Raises
    ------
    InputError
        If the folder is not empty, or a cube cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"the folder {folder} holds something already; scenes are written to a new one.")
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for title, cube in cubes.items():
        plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", title).strip(" .") or "scene"
        name, number = plain, 2
        # Some file systems ignore case.
        while name.lower() in {other.lower() for other in names}:
            name, number = f"{plain}-{number}", number + 1
        write_cube(folder / f"{name}.nc", cube)
        names.append(name)
    return names
