"""AdaSSL (Zhang et al., arXiv 2602.02381): the stages of `dvc.yaml`, a module each."""
