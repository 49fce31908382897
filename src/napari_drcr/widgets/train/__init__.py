"""The dock widget Train and its parts: `fields` and `editors` make `config_form` of what `napari_drcr.training.config` says a run is."""
