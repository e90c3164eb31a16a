"""What `pal oracle run` is told: checked, and recorded beside what it makes, so that nothing else goes on there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pal_plugin import registry
from pal_plugin.arrays import read_json
from pal_plugin.errors import ConfigError
from pal_plugin.io import write_json
from pal_plugin.oracle.store.engine import place_of
from pal_plugin.resume import differences

RECORD = "run.json"
LABELS, HUMAN = "labels", "human"
FORMAT = 1
_PLACES = ("out", "order", "features")  # may change while a run is under way: what is read there is compared by content
_AGAIN = "Give another --out, or delete that folder to begin anew"


@dataclass(frozen=True)
class Settings:
    """What a loop of rounds is.

    Attributes:
        data: which images, as the config group `data` says it; what it leaves out is the training config's.
        store: where answers are kept, a file or a PostgreSQL URL.
        out: the folder that everything else is written to.
        strategy: what is asked; see `pal_plugin.oracle.make_strategy`.
        budget: how many questions are asked in all.
        rounds: how many parts they are asked in, each followed by a training.
        grid: how many candidates a grid shows.
        oracle: who answers: `labels`, `human`, a file of relations, or what a plugin adds.
        noise: share of the oracle's answers that are turned into wrong ones.
        policy: what becomes of contradictions; see `pal_plugin.oracle.policies`.
        stop: see the strategy `merging`.
        order: picks that questions are about first.
        features: the space in which the first questions are chosen; with it there is no training before them.
        per_click: price of a click.
        per_second: price of a second.
        currency: of the prices.
        seed: of questions, mistakes, initialisation and draws.
        method: the config of the training; None asks and does not train.
        overrides: Hydra's, of that config.

    Raises:
        ConfigError: a number that is out of range, or settings that exclude each other.
    """

    data: Mapping[str, Any]
    store: str
    out: Path
    strategy: str = "active"
    budget: int = 200
    rounds: int = 4
    grid: int = 10
    oracle: str = LABELS
    noise: float = 0.0
    policy: str = "again"
    stop: float | None = None
    order: Path | None = None
    features: Path | None = None
    per_click: float = 0.0
    per_second: float = 0.0
    currency: str = ""
    seed: int = 0
    method: str | None = "pal_simclr"
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("budget", 1), ("rounds", 1), ("grid", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} is {getattr(self, name)}", f"Give {least} or more")
        if self.rounds > self.budget:
            raise ConfigError(
                f"A budget of {self.budget} questions cannot be asked in {self.rounds} rounds",
                f"Give --rounds {self.budget} or fewer",
            )
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 1):
            raise ConfigError(f"--noise is {self.noise}", "Give a share of the answers, from 0 to 1")
        if self.noise and self.oracle == HUMAN:
            raise ConfigError(
                "--noise turns answers into wrong ones, and a person answers by the page", "Leave --noise out"
            )
        if self.method is None and self.overrides:
            raise ConfigError(
                f"Nothing is trained, and {self.overrides[0]!r} is of a training", "Leave out --no-train, or the rest"
            )

    @property
    def annotator(self) -> str:
        """The name under which the oracle's answers are kept."""
        return self.oracle if self.oracle_file is None else "file"

    @property
    def oracle_file(self) -> Path | None:
        """The file of relations that answers; None where somebody does, whose name a file may have too."""
        if self.oracle in (LABELS, HUMAN) or self.oracle in registry.oracles or not Path(self.oracle).is_file():
            return None
        return Path(self.oracle)

    def questions_after(self, number: int) -> int:
        """Return how many questions are asked in rounds 1 … `number` together."""
        return self.budget * number // self.rounds

    def as_record(self) -> dict[str, Any]:
        """Return these settings as JSON holds them: without places, and without the password of a database."""
        found = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name not in _PLACES}
        found["data"] = {key: value for key, value in self.data.items() if key != "root"}
        found["store"] = place_of(self.store)
        found["overrides"] = list(self.overrides)
        return found


def begin(folder: Path, what: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Record in `folder` what a run is, unless one has begun there that is the same.

    Args:
        folder: of the run.
        what: the run is, as nested mappings; compared with what is recorded.
        found: how things stand as it begins; kept, and not compared.

    Returns:
        How things stood when it began.

    Raises:
        ConfigError: the folder holds another run (everything that differs is named), or things that are not of a run.
    """
    path = folder / RECORD
    if not path.exists():
        others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")] if folder.exists() else []
        if others:
            raise ConfigError(f"{folder} holds {others[0]}, and is no folder of rounds", "Give another --out")
        write_json(path, {"format": FORMAT, "run": what, "begun": found})
    record = read_json(path, ConfigError, _AGAIN)
    if record.get("format") != FORMAT or not {"run", "begun"} <= record.keys():
        raise ConfigError(f"{path} is no record of rounds", _AGAIN)
    changed = differences(record["run"], dict(what))
    if changed:
        raise ConfigError(
            f"{folder} holds rounds of another run: {'; '.join(changed)}", f"Give what that run was given. {_AGAIN}"
        )
    begun: dict[str, Any] = record["begun"]
    return begun
