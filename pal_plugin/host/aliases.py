"""Import the solo-learn release next to today's Lightning, by names it expects and nobody ships any more.

The release (1.0.2) was written for `pytorch_lightning` 1.4, `lightning-bolts` and `distutils`. While it is being
imported those names resolve to their living successors; afterwards they are taken out of `sys.modules` again, so that
other packages of the process see what is really installed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

from pal_plugin.host.optim import WarmupCosine


@contextlib.contextmanager
def release_aliases() -> Iterator[None]:
    """Make the release's imports resolve inside the block."""
    stand_ins = _stand_ins()
    hidden = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in hidden.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _stand_ins() -> dict[str, ModuleType]:
    lightning = importlib.import_module("lightning.pytorch")
    bolts = _module("pl_bolts.optimizers.lr_scheduler", LinearWarmupCosineAnnealingLR=WarmupCosine)
    stand_ins = {
        "pytorch_lightning": lightning,
        "pytorch_lightning.callbacks": importlib.import_module("lightning.pytorch.callbacks"),
        "pl_bolts": _module("pl_bolts"),
        "pl_bolts.optimizers": _module("pl_bolts.optimizers"),
        "pl_bolts.optimizers.lr_scheduler": bolts,
    }
    if importlib.util.find_spec("distutils") is None:  # Python 3.12 without setuptools
        stand_ins["distutils"] = _module("distutils")
    return stand_ins


def _module(name: str, **content: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module
