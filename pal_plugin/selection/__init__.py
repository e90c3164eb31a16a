"""Which samples to label, in order: selectors on features that are computed once."""

from __future__ import annotations

from pal_plugin.selection.base import Selector
from pal_plugin.selection.classes import class_counts, kl_to_uniform
from pal_plugin.selection.clusters import KMedoids, TypiClust
from pal_plugin.selection.coreset import CoreSet
from pal_plugin.selection.coverage import Coverage, coverage
from pal_plugin.selection.facility import FacilityLocation
from pal_plugin.selection.kcenter import KCenterGreedy
from pal_plugin.selection.make import make_selector
from pal_plugin.selection.probcover import ProbCover
from pal_plugin.selection.random import RandomSelection
from pal_plugin.selection.reading import read_samples
from pal_plugin.selection.result import Selection

__all__ = [
    "CoreSet",
    "Coverage",
    "FacilityLocation",
    "KCenterGreedy",
    "KMedoids",
    "ProbCover",
    "RandomSelection",
    "Selection",
    "Selector",
    "TypiClust",
    "class_counts",
    "coverage",
    "kl_to_uniform",
    "make_selector",
    "read_samples",
]
