"""What a first estimate takes in a fresh interpreter: `python -m napari_drcr.benchmark.start_up MODEL IMAGE DEVICE`."""

from __future__ import annotations

import json
import signal
import sys
import time
import warnings


def main(model: str, image: str, device: str) -> None:
    """Estimate the cube of an image once, and print the seconds that each part took as JSON."""
    begun = time.perf_counter()
    import numpy as np
    import torch  # noqa: F401

    import napari_drcr.inference.passes  # noqa: F401
    from napari_drcr.benchmark.subject import find_network
    from napari_drcr.inference.reconstruction import reconstruct

    imported = time.perf_counter()
    found = find_network(model)
    loaded = time.perf_counter()
    reconstruct(np.load(image), found, device=device)
    done = time.perf_counter()
    print(json.dumps({"importing": imported - begun, "loading": loaded - imported, "first": done - loaded}))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
