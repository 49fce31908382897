"""What the docks share: layers, positions, marks, background work."""
