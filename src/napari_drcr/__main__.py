"""``python -m napari_drcr`` is the command line."""

from napari_drcr.cli import main

if __name__ == "__main__":
    main()
