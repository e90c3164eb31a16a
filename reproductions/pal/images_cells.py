"""What the image experiment trains, and how its runs are called. Light: the table needs no torch.

`python -m reproductions.pal.images_cells` prints the whole grid, as the value of `pal.cells`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reproductions.layout import artifacts, results
from reproductions.pal.names import PAPER

AUGMENTATION = "flip_only"  # where a graph matters most, and the cheapest
EPOCHS = {"smoke": 4, "cpu": 4}  # drawn relations make an epoch a third longer; other profiles keep their own number
SHARE = 0.25  # of each batch, drawn along known relations; also in the control with α = 0

ALPHA = {"simclr": 0.9, "byol": 0.9, "vicreg": 0.2}  # as in the methods' configs
RELATIONS = (0.001, 0.01, 0.1, 1.0)
USUAL = 0.01


class Cell(NamedTuple):
    """One setting of the image experiment; its name is `METHOD-RELATIONS-ALPHA-NOISE`.

    Attributes:
        method: `simclr`, `byol`, `vicreg`, …: that of `pal_METHOD`.
        relations: share of all pairs of images whose relation the oracle tells; 0 is the host's plain method.
        alpha: share of the oracle's relations in the graph, against the augmentations'.
        noise: share of the oracle's labels that are wrong.
    """

    method: str
    relations: float
    alpha: float
    noise: float

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            ValueError: it is not a name of a cell.
        """
        method, *numbers = name.split("-")
        relations, alpha, noise = map(float, numbers)
        return cls(method, relations, alpha, noise)

    @property
    def name(self) -> str:
        """The cell's name."""
        return "-".join([self.method, *(_plain(number) for number in self[1:])])


def result(profile: str, cell: Cell, seed: int) -> Path:
    """Return where the metrics of a run are."""
    return results(profile, PAPER) / "images" / f"{cell.name}-{seed}.json"


def run_folder(profile: str, cell: Cell, seed: int) -> Path:
    """Return the folder of a finished run."""
    return artifacts(profile, PAPER) / "images" / f"{cell.name}-{seed}"


def _plain(number: float) -> str:
    """Return a number without an exponent, whose sign would be one more dash."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def grid() -> list[Cell]:
    """Return the cells of the whole experiment: relations for each method, α, and wrong labels for SimCLR."""
    cells = []
    for method, alpha in ALPHA.items():
        cells += [Cell(method, 0.0, 0.0, 0.0), Cell(method, USUAL, 0.0, 0.0)]
        cells += [Cell(method, relations, alpha, 0.0) for relations in RELATIONS]
    cells += [Cell("byol", USUAL, 0.2, 0.0), Cell("vicreg", USUAL, 0.9, 0.0)]
    cells += [Cell("simclr", USUAL, alpha, 0.0) for alpha in (0.5, 1.0)]
    return cells + [Cell("simclr", USUAL, ALPHA["simclr"], noise) for noise in (0.1, 0.3)]


if __name__ == "__main__":
    print(f"[{','.join(cell.name for cell in grid())}]")
