"""What the experiment on noisy pairs trains, and how its runs are called. Light: the table needs no torch.

`python -m reproductions.adassl.noisy_cells` prints the whole grid, as the value of `adassl.noisy.cells`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reproductions.adassl.names import PAPER
from reproductions.layout import ROOT, artifacts, results

ARMS = {"vanilla": "SimCLR", "v": "AdaSSL-V", "s": "AdaSSL-S"}
NOISES = (0.0, 0.25, 0.5, 0.75, 1.0)  # those of the authors on iNat-1M
PRIORS = ("hog", "pixels")  # weak ones, whose neighbours are mostly of another class


class Cell(NamedTuple):
    """One setting of the experiment; its name is `ARM-PAIRS`, such as `v-0.25` or `vanilla-hog`.

    Attributes:
        arm: a variant of AdaSSL, a key of `ARMS`.
        pairs: how probable it is that a pair is only of one coarse class; or the prior whose neighbours are pairs.
    """

    arm: str
    pairs: float | str

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            ValueError: it is not a name of a cell.
        """
        arm, pairs = name.split("-")
        if arm not in ARMS:
            raise ValueError(f"no arm {arm!r}")
        if pairs in PRIORS:
            return cls(arm, pairs)
        if float(pairs) not in NOISES:
            raise ValueError(f"no noise {pairs}, only {', '.join(f'{noise:g}' for noise in NOISES)}")
        return cls(arm, float(pairs))

    @property
    def name(self) -> str:
        """The cell's name."""
        return f"{self.arm}-{self.pairs if isinstance(self.pairs, str) else f'{self.pairs:g}'}"


def result(profile: str, cell: Cell, seed: int) -> Path:
    """Return where the metrics of a run are."""
    return results(profile, PAPER) / "noisy" / f"{cell.name}-{seed}.json"


def run_folder(profile: str, cell: Cell, seed: int) -> Path:
    """Return the folder of a finished run."""
    return artifacts(profile, PAPER) / "noisy" / f"{cell.name}-{seed}"


def table(profile: str, suffix: str) -> Path:
    """Return where the table and figure of all runs are, as `.md`, `.json` or `.png`."""
    return ROOT / "results" / profile / f"{PAPER}_noisy{suffix}"


def grid() -> list[Cell]:
    """Return the cells of the whole experiment."""
    return [Cell(arm, pairs) for pairs in (*NOISES, *PRIORS) for arm in ARMS]


if __name__ == "__main__":
    print(f"[{','.join(cell.name for cell in grid())}]")
