"""Training: what a run is (`config`), its samples (`data`), the learning (`module`), and one run in one folder (`run`)."""
