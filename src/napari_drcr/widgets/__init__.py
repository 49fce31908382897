"""Dock widgets for napari, one a file; `layers` alone turns cubes into layers and back."""

from __future__ import annotations

from importlib.metadata import version

OLDEST_NAPARI = (0, 9)


def check_napari(found: str) -> None:
    """Say so where napari is too old for cube layers.

    Parameters
    ----------
    found : str
        The version of napari.

    Raises
    ------
    ImportError
        If it is older than `OLDEST_NAPARI`.
    """
    if tuple(int(number) for number in found.split(".")[:2]) < OLDEST_NAPARI:
        oldest = ".".join(map(str, OLDEST_NAPARI))
        raise ImportError(
            f"napari-drcr needs napari {oldest} or newer, but this is napari {found}; update it: pip install -U napari."
        )


check_napari(version("napari"))
