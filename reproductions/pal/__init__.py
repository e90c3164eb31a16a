"""PAL (Cabannes, Bottou, LeCun, Balestriero, arXiv 2303.15256): the stages of `dvc.yaml`, a module each."""
