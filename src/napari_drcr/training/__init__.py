"""Training: what a run is (`config`), its samples (`data`), the learning (`module`), one run in one folder (`run`), in the background (`jobs`)."""
