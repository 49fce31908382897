"""Residual networks of one frame: plain, Fixup, and with attention to channels, pixels or layers."""
