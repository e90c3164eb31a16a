"""What the oracle experiment asks and trains, and how its runs are called. Light: the table needs no torch.

`python -m reproductions.pal.oracle_cells` prints the whole grid, as the value of `pal.oracle`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reproductions.layout import artifacts, results
from reproductions.pal.names import PAPER

GRID = 10  # candidates shown at once, as in the authors' notebooks
POLICY = "majority"  # of contradictory answers; without wrong ones there are none
SPACE = "hog"  # where the first questions are chosen: needs no label and no training
PASSIVE = "random"
STRATEGIES = (PASSIVE, "active", "merging")


class Asking(NamedTuple):
    """How much is asked.

    Attributes:
        questions: of a strategy that shows grids, in all.
        rounds: parts they are asked in; a network is trained after each.
    """

    questions: int
    rounds: int


_USUAL = Asking(300, 3)
_ASKING = {"debug": Asking(20, 1), "smoke": Asking(200, 1)}


class OracleCell(NamedTuple):
    """One setting of the oracle experiment; its name is `STRATEGY-NOISE`.

    Attributes:
        strategy: `random`, pairs; `active` or `merging`, grids.
        noise: share of the pairs that the oracle answers wrongly.
    """

    strategy: str
    noise: float

    @classmethod
    def parse(cls, name: str) -> OracleCell:
        """Return the cell called `name`.

        Raises:
            ValueError: it is not a name of a cell.
        """
        strategy, _, noise = name.partition("-")
        if strategy not in STRATEGIES:
            raise ValueError(f"no strategy {strategy!r}")
        return cls(strategy, float(noise))

    @property
    def name(self) -> str:
        """The cell's name."""
        return f"{self.strategy}-{self.noise:g}"

    def asking(self, profile: str) -> Asking:
        """Return how much is asked in a profile: of pairs, a click each, three times as many as of grids."""
        asking = _ASKING.get(profile, _USUAL)
        return asking._replace(questions=3 * asking.questions) if self.strategy == PASSIVE else asking


def result(profile: str, cell: OracleCell, seed: int) -> Path:
    """Return where the curve of a run is."""
    return results(profile, PAPER) / "oracle" / f"{cell.name}-{seed}.json"


def run_folder(profile: str, cell: OracleCell, seed: int) -> Path:
    """Return the folder with a finished run's answers and its last network."""
    return artifacts(profile, PAPER) / "oracle" / f"{cell.name}-{seed}"


def grid() -> list[OracleCell]:
    """Return the cells of the whole experiment."""
    return [OracleCell(strategy, noise) for noise in (0.0, 0.1) for strategy in STRATEGIES]


if __name__ == "__main__":
    print(f"[{','.join(cell.name for cell in grid())}]")
