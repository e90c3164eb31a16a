"""What the numerical experiment trains, and how its runs are called. Light: table and figure need no torch.

`python -m reproductions.adassl.numerical_cells` prints the whole grid, as the value of `adassl.numerical.cells`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reproductions.adassl.names import PAPER
from reproductions.layout import ROOT, results

# what AdaSSL charges r with, by method; None for the baselines, which have no r
BETAS = {"infonce": None, "aninfonce": None, "hinfonce": None, "v": 0.1, "v.3": 0.3, "s": 0.1, "gt": 0.0}
LABELS = {
    "infonce": "InfoNCE",
    "aninfonce": "AnInfoNCE",
    "hinfonce": "H-InfoNCE",
    "v": "AdaSSL-V, β .1",
    "v.3": "AdaSSL-V, β .3",
    "s": "AdaSSL-S, β .1",
    "gt": "true difference",
}
ORACLE = "gt"  # is told what no other method is
WEIGHTED = ("aninfonce", "hinfonce")  # their logits have learnable weights: a clamp can bind at any temperature
TEMPERATURES = (0.1, 0.02, 0.05, 0.2)  # in the order that they are run in
CLAMP = 20.0
NONE = "none"


class Cell(NamedTuple):
    """One setting of the numerical experiment; its name is `METHOD-TEMPERATURE-CLAMP`.

    Attributes:
        method: a key of `BETAS`; v.3 is v with the larger β.
        temperature: τ.
        clamp: the largest magnitude of a logit; None for no bound, `none` in the name.
    """

    method: str
    temperature: float
    clamp: float | None

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            ValueError: it is not a name of a cell.
        """
        method, temperature, clamp = name.split("-")
        if method not in BETAS:
            raise ValueError(f"no method {method!r}")
        return cls(method, float(temperature), None if clamp == NONE else float(clamp))

    @property
    def name(self) -> str:
        """The cell's name."""
        return f"{self.method}-{self.temperature:g}-{NONE if self.clamp is None else f'{self.clamp:g}'}"

    @property
    def beta(self) -> float | None:
        """β; None where the method has no r."""
        return BETAS[self.method]

    @property
    def can_bind(self) -> bool:
        """Whether a clamp of ±20 can change the method's logits at this temperature."""
        return self.method in WEIGHTED or self.temperature * CLAMP < 1


def result(profile: str, cell: Cell, seed: int) -> Path:
    """Return where the metrics of a run are."""
    return results(profile, PAPER) / "numerical" / f"{cell.name}-{seed}.json"


def table(profile: str, suffix: str) -> Path:
    """Return where the table and figure of all runs are, as `.md`, `.json` or `.png`."""
    return ROOT / "results" / profile / f"{PAPER}_numerical{suffix}"


def grid() -> list[Cell]:
    """Return the cells of the whole experiment, those at τ = .1 first; without a clamp where one can bind."""
    clamped = [Cell(method, temperature, CLAMP) for temperature in TEMPERATURES for method in BETAS]
    free = [cell._replace(clamp=None) for cell in clamped if cell.can_bind]
    return clamped + sorted(free, key=lambda cell: cell.temperature)


if __name__ == "__main__":
    print(f"[{','.join(cell.name for cell in grid())}]")
