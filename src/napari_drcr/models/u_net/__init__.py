"""U-Nets: Stiebel's, which shrinks its maps by unpadded convolutions, and one that weighs a learned basis of spectra."""
