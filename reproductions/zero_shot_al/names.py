"""What this paper's arms, runs and files are called. Light: the table needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from reproductions.gps_ssl.names import BASELINE
from reproductions.layout import ROOT, artifacts, results

PAPER = "zero_shot_al"
NONE = "none"  # in the place of features, of arms that need none
RANDOM, CORESET = "random", "coreset"
UNGUIDED = (RANDOM, CORESET)
UNTRAINED = "untrained"  # the features of the backbone before training


class Arm(NamedTuple):
    """A way to choose.

    Attributes:
        label: for tables and figures.
        selector: its name among the selectors.
        parameters: of the selector, beside the seed.
        seeded: whether the selector takes the run's seed.
    """

    label: str
    selector: str
    parameters: dict[str, Any]
    seeded: bool = False


ARMS = {
    RANDOM: Arm("random", "random", {}, seeded=True),
    "kcenter": Arm("k-centre", "kcenter", {}),
    "kcenter_random": Arm("k-centre, random start", "kcenter", {"start": "random"}, seeded=True),
    "kcenter_cosine": Arm("k-centre, directions", "kcenter", {"metric": "cosine"}),
    "kcenter_trimmed": Arm("k-centre, outliers trimmed", "kcenter", {"trim": 0.1}),
    "kcenter_balanced": Arm("k-centre, classes balanced by their labels", "kcenter", {"balanced": True}),
    "kmedoids": Arm("k-means medoids", "kmedoids", {}, seeded=True),
    "typiclust": Arm("TypiClust", "typiclust", {}, seeded=True),
    "probcover": Arm("ProbCover", "probcover", {}, seeded=True),
    "facility": Arm("facility location", "facility", {}),
    CORESET: Arm("Core-Set, retrained every round", "coreset", {"start": "random"}, seeded=True),
}


class Cell(NamedTuple):
    """One order of the pool: whose features, and which way to choose; its name is `FEATURES.ARM`."""

    features: str
    arm: str

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            ValueError: it is not a name of a cell.
        """
        features, dot, arm = name.rpartition(".")
        if not dot or arm not in ARMS or (features == NONE) != (arm in UNGUIDED):
            raise ValueError(f"{name!r} is no cell of {PAPER}")
        return cls(features, arm)

    @property
    def name(self) -> str:
        """The cell's name."""
        return f"{self.features}.{self.arm}"


def self_supervised(features: str) -> bool:
    """Return whether features are of a run that saw no label, nor a prior that was trained with some."""
    return f"-{BASELINE}-" in features


def feature_folder(profile: str, features: str) -> Path:
    """Return the folder of a feature store."""
    return artifacts(profile, PAPER) / "features" / features


def feature_result(profile: str, features: str) -> Path:
    """Return where it stands how good features are."""
    return results(profile, PAPER) / "features" / f"{features}.json"


def picks_folder(profile: str, cell: Cell, seed: int) -> Path:
    """Return the folder of a run's picks."""
    return artifacts(profile, PAPER) / f"{cell.name}-{seed}"


def result(profile: str, cell: Cell, seed: int) -> Path:
    """Return where the metrics of a run are."""
    return results(profile, PAPER) / "runs" / f"{cell.name}-{seed}.json"


def table(profile: str, suffix: str) -> Path:
    """Return where the table and figure of all runs are, as `.md`, `.json` or `.png`."""
    return ROOT / "results" / profile / f"{PAPER}{suffix}"
