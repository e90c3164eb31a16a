"""GPS-SSL (Feizi, Balestriero, Romero-Soriano, Rabbany, arXiv 2401.01990): the stages of `dvc.yaml`, a module each."""
