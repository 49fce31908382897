"""What cubes are compared with and by: metrics, spectra, regions, figures, evaluation."""
