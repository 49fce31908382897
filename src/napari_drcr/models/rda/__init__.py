"""RDA of Image Lab: a dense branch and a U-Net with attention, over independent patches that know where their pixels are."""
