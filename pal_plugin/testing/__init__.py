"""Classes of tests that everything pluggable has to pass: ours does, and you can run them on yours with pytest.

Derive from one, in a test file of your own, and say how the thing is made:

    class TestMine(SelectorConformance):
        def make(self):
            return MySelector(seed=0)

Needs pytest, which the package itself does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pal_plugin.testing.engines import EngineConformance
from pal_plugin.testing.oracles import OracleConformance
from pal_plugin.testing.priors import PriorConformance
from pal_plugin.testing.selectors import SelectorConformance

if TYPE_CHECKING:
    from pal_plugin.testing.methods import MethodConformance

__all__ = [
    "EngineConformance",
    "MethodConformance",
    "OracleConformance",
    "PriorConformance",
    "SelectorConformance",
]


def __getattr__(name: str) -> Any:
    """Import `MethodConformance` on first use: it brings Lightning, which testing a selector does without."""
    if name == "MethodConformance":
        from pal_plugin.testing.methods import MethodConformance

        return MethodConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
