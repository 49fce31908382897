"""Whether an image is unlike those that a model learned from."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import UNFAMILIARITY
from napari_drcr.errors import InputError
from napari_drcr.inference.preparation import BYTES, ImageSettings, PreparedImage, read_prepared
from napari_drcr.models.familiarity import FAR, MEANING, block_edges, iter_describe
from napari_drcr.models.store import DEFAULT_MODEL, Model, load_model
from napari_drcr.system.steps import run_to_end


def unfamiliarity(
    rgb: npt.ArrayLike | str | Path,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    encoding: str = "srgb",
    profile: bytes | None = None,
    white_level: float | None = None,
    divisor: float | None = None,
    white: Sequence[int] | None = None,
) -> xr.DataArray:
    """How unlike the images that a model learned from an image is, block by block, in colour and texture.

    Parameters
    ----------
    rgb, model, encoding, profile, white_level, divisor, white
        As for `napari_drcr.reconstruct`.

    Returns
    -------
    xarray.DataArray, shape (y, x), float32
        For each pixel the share, 0 to 1, of blocks of held-out images that are nearer to what the model learned from than the pixel's
        block of 32 x 32 pixels is. Its attribute `unfamiliar_share` is the share of the blocks above 0.9; `unfamiliar` whether the
        image as a whole is unlike those learned from, which is so above the share `unfamiliar_limit`; and `meaning` says what this is
        and is not.

    Raises
    ------
    InputError
        If image, model or a setting cannot be used, or the model does not state what it learned from.
    """
    loaded = load_model(model)
    if loaded.familiarity is None:
        raise InputError(
            f"{loaded.name} holds no statistics of the images that it learned from; models that are trained with this version do."
        )
    found = run_to_end(
        iter_unfamiliarity(
            read_prepared(rgb, loaded, ImageSettings(encoding, profile, white_level, divisor, white)),
            loaded,
        )
    )
    assert found is not None
    return found


def iter_unfamiliarity(image: PreparedImage, model: Model) -> Generator[None, None, xr.DataArray | None]:
    """`unfamiliarity` of an image that is prepared already, in many small steps.

    Parameters
    ----------
    image : PreparedImage
        For this model.
    model : Model

    Yields
    ------
    None
        After every row of blocks.

    Returns
    -------
    xarray.DataArray or None
        As `unfamiliarity`; None where the model does not state what it learned from.
    """
    if model.familiarity is None:
        return None
    white = BYTES if model.normalisation == "bytes" else 1.0
    nearer = model.familiarity.nearer((yield from iter_describe(image.values, white)))
    share = float((nearer > FAR).mean())
    rows, columns = (np.diff(block_edges(length)) for length in image.clipped.shape)
    return xr.DataArray(
        np.repeat(np.repeat(nearer, columns, axis=1), rows, axis=0),
        dims=("y", "x"),
        name=UNFAMILIARITY,
        attrs={
            "units": "1",
            "model": model.name,
            "unfamiliar_share": share,
            "unfamiliar_limit": model.familiarity.limit,
            "unfamiliar": share > model.familiarity.limit,
            "meaning": MEANING,
        },
    )
