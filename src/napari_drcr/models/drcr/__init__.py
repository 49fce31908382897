"""DRCR Net: the network, checkpoints in the released layout, and exact passes over images of any size."""
