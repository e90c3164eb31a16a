"""Priors: what knows, before training, which images are alike. A prior embeds a data set into a feature store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pal_plugin.priors.base import Fittable, Images, Prior, make_prior, ready
from pal_plugin.priors.embedding import cached_at, embed
from pal_plugin.priors.pixels import Pixels
from pal_plugin.priors.store import FeatureStore, load_features, save_features

if TYPE_CHECKING:
    from pal_plugin.priors.lite0 import Lite0

__all__ = [
    "FeatureStore",
    "Fittable",
    "Images",
    "Lite0",
    "Pixels",
    "Prior",
    "cached_at",
    "embed",
    "load_features",
    "make_prior",
    "ready",
    "save_features",
]


def __getattr__(name: str) -> Any:
    """Import `Lite0` on first use: it brings torch and timm, which reading features does without."""
    if name == "Lite0":
        from pal_plugin.priors.lite0 import Lite0

        return Lite0
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
