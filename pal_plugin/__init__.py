"""Similarity graphs for self-supervised learning, as a plugin for solo-learn.

`pal_plugin.register()` adds our methods to solo-learn's table; everything else lives in its room:
`data`, `priors`, `graph`, `losses`, `methods`, `evaluation`, and `host`, the one that knows solo-learn.
"""

from __future__ import annotations

__version__ = "0.1.0"


def register() -> None:
    """Add every `gps_*`, `pal_*`, `adassl_*` and third-party method to solo-learn's `METHODS`.

    Calling it again changes nothing.

    On solo-learn's GitHub main it also wraps `parse_cfg`, `prepare_datasets` and `prepare_dataloader`, so that a
    researcher's own `main_pretrain.py` understands `method=gps_byol` and `+data.graph=PATH` when this is called
    before its `from solo…` imports.
    """
    from pal_plugin.host.register import register as _register  # heavy: imports torch and solo
    from pal_plugin.methods import pair_methods

    _register(pair_methods())


__all__ = ["__version__", "register"]
