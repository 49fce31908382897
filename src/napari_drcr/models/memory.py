"""What a network needs of memory, worked out from shapes."""

from __future__ import annotations

import weakref
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SPARE = 1.25
"""Memory that libraries take for themselves, as a factor on what the network's own values need."""


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of all tensors that are alive, and keeps the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        for value in tree_leaves(answer):
            if isinstance(value, Tensor) and (storage := value.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return answer

    def _gone(self, size: int) -> None:
        self.now -= size


def peak_memory(network: nn.Module, height: int, width: int) -> int:
    """What a pass over a whole image takes at most, worked out from shapes: nothing is computed.

    Parameters
    ----------
    network : torch.nn.Module
        On any device; its parameters are not counted.
    height, width : int
        Of the image, multiples of what the network needs.

    Returns
    -------
    int
        Bytes, with a quarter more for what libraries take for themselves.
    """
    shapes = deepcopy(network).to("meta")
    like = next(shapes.parameters())
    with torch.no_grad():
        image = torch.empty((1, 3, height, width), dtype=like.dtype, device="meta").contiguous(
            memory_format=torch.channels_last
        )
        with _LiveBytes() as bytes_:
            shapes(image)
    return int(SPARE * (bytes_.most + image.untyped_storage().nbytes()))


def takes(network: nn.Module, height: int, width: int) -> bool:
    """Whether a network takes images of a size; nothing is computed.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.
    height, width : int
        Of the image, multiples of what the network needs.

    Returns
    -------
    bool
        False where convolutions without padding leave nothing of the image, or less than what is to be reflected.
    """
    try:
        peak_memory(network, height, width)
    except RuntimeError:
        return False
    return True
