"""The Bayer mosaic of a sensor, and what fills it in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import InputError

Float32Array = npt.NDArray[np.float32]


def mosaic(signal: Float32Array) -> Float32Array:
    """Look at an image through a Bayer pattern.

    Parameters
    ----------
    signal : ndarray, shape (y, x, 3)
        Linear RGB.

    Returns
    -------
    ndarray, shape (y, x)
        Red and green on even rows, green and blue on odd ones.

    Raises
    ------
    InputError
        If the image is smaller than the pattern.
    """
    if min(signal.shape[:2]) < 2:
        raise InputError(
            f"an image of {signal.shape[0]} x {signal.shape[1]} pixels is too small for a Bayer pattern, which repeats every 2 x 2."
        )
    seen = signal[:, :, 1].copy()
    seen[::2, ::2] = signal[::2, ::2, 0]
    seen[1::2, 1::2] = signal[1::2, 1::2, 2]
    return seen


def demosaic(seen: Float32Array) -> Float32Array:
    """Fill in the colours that a Bayer pattern hides.

    Parameters
    ----------
    seen : ndarray, shape (y, x)
        As `mosaic` gives it.

    Returns
    -------
    ndarray, shape (y, x, 3), float32
        May leave the range of what was seen where edges meet.

    Notes
    -----
    D. Menon, S. Andriani, G. Calvagno: Demosaicing With Directional Filtering and a posteriori Decision. IEEE Transactions on
    Image Processing 16(1), 2007, through colour-demosaicing, which is imported on the first call only.
    """
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007

    return np.asarray(demosaicing_CFA_Bayer_Menon2007(seen, pattern="RGGB"), dtype=np.float32)
