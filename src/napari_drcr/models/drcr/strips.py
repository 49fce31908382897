"""A block of the network over a feature map in strips of rows, with nothing computed twice.

Each convolution can give a row once the one before it has given the row below. So in every strip convolution k ends k rows above the
strip's end, and what later strips need of its rows is carried over. The block's input is needed no further back than where its output
is by then, so one takes the place of the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_drcr.models.drcr.network import SLOPE, DRCRBlock

# Which maps each convolution takes; 0 is the block's input and k what convolution k gave. The first gate, which stands between the
# input and convolution 4, goes into its weights.
WIRING = ((0,), (1,), (2,), (3, 0), (2, 4), (1, 5))
# How many of the last rows of each of these maps the next strip still needs: by so many its slowest reader lags behind.
CARRIED = {1: 6, 2: 4, 3: 2, 4: 2, 5: 2}


class BlockInStrips:
    """Takes a feature map through a block in place, from top to bottom, some rows more with each call.

    Parameters
    ----------
    block : DRCRBlock
        As `napari_drcr.models.drcr.tiles.place` gives it.
    gate1, gate2 : Tensor, shape (1, C)
        Of this block, float32.
    rows : Tensor, shape (1, C, y + 2, x)
        The map between a row of zeros above and one below; overwritten, row by row, with what the block makes of it.
    """

    def __init__(self, block: DRCRBlock, gate1: Tensor, gate2: Tensor, rows: Tensor) -> None:
        self._rows = rows
        self._height = rows.shape[2] - 2
        convolutions = (block.conv1, block.conv2, block.conv3, block.conv4, block.conv5, block.conv6)
        self._weights = [convolution.weight for convolution in convolutions]
        self._biases = [convolution.bias for convolution in convolutions]
        channels = rows.shape[1]
        gated = self._weights[3].clone()
        gated[:, channels:] *= gate1[0, :, None, None]
        self._weights[3] = gated
        self._both_gates = (gate1 * gate2)[:, :, None, None].to(rows.dtype)
        self._input = _AllRows(rows)
        self._maps = [_LastRows(rows[:, :, :1], carried) for carried in CARRIED.values()]
        self._done = [0] * len(WIRING)

    def __call__(self, stop: int) -> Tensor | None:
        """Take in the map's rows up to one.

        Parameters
        ----------
        stop : int
            The first row that is not taken in yet; more than at the last call. With the map's height the block comes to its end.

        Returns
        -------
        Tensor or None
            A view, shape (1, C, rows, x), of the rows that are finished by now and were not before, if any.
        """
        for number, sources in enumerate(WIRING):
            first = self._done[number]
            last = stop if stop == self._height else max(stop - number - 1, 0)
            if first == last:
                return None
            self._done[number] = last
            windows = [(self._maps[source - 1] if source else self._input).window(first - 1, last + 1) for source in sources]
            piece = windows[0] if len(windows) == 1 else torch.cat(windows, dim=1)
            piece = F.leaky_relu_(F.conv2d(piece, self._weights[number], self._biases[number], padding=(0, 1)), SLOPE)
            if number < len(self._maps):
                self._maps[number].add(piece, ends=last == self._height)
        target = self._rows[:, :, first + 1 : last + 1]
        return torch.addcmul(piece, target, self._both_gates, out=target)


class _AllRows:
    """A map that is there as a whole, between two rows of zeros."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def window(self, first: int, last: int) -> Tensor:
        return self._rows[:, :, first + 1 : last + 1]


class _LastRows:
    """A map that grows from row to row, and of which only the last ones are kept; begins with the row of zeros above the image."""

    def __init__(self, zeros: Tensor, carried: int) -> None:
        self._zeros = self._rows = zeros
        self._first = -1
        self._carried = carried

    def window(self, first: int, last: int) -> Tensor:
        return self._rows[:, :, first - self._first : last - self._first]

    def add(self, rows: Tensor, *, ends: bool) -> None:
        """Append rows; after the image's last one comes a row of zeros."""
        kept = self._rows[:, :, -self._carried :]
        self._first += self._rows.shape[2] - kept.shape[2]
        self._rows = torch.cat((kept, rows, self._zeros) if ends else (kept, rows), dim=2)
