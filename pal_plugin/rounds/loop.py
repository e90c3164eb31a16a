"""Rounds of questions and training: ask, train on what is known, ask with what was learnt, and so on.

Everything that a round makes is in its folder, and a round that was stopped anywhere goes on from what it left:

    run.json                what the run is
    round_0/                the plain control, without relations; its features choose the first questions
    round_K/graph           what was known after the questions of round K; the training reads it
    round_K/asked.json      how much that was, and what it had cost: the round's questions are answered
    round_K/run             the training's run folder
    round_K/features        what its network makes of the images
    round_K/point.json      the round's point of the curve: the round is done
    curve.csv, curve.json   the points of all rounds so far
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, dataset_from_config
from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host.config import plain
from pal_plugin.io import write_json
from pal_plugin.oracle import Account, Prices, first_of_each_class, make_strategy, write_curve
from pal_plugin.oracle.seeds import tell_seeds
from pal_plugin.oracle.store import RelationStore
from pal_plugin.priors import load_features, save_features
from pal_plugin.rounds.asking import ask_until, make_oracle
from pal_plugin.rounds.known import known_pairs
from pal_plugin.rounds.points import RoundPoint, questions_at_begin, read_asked, read_point
from pal_plugin.rounds.settings import RECORD, Settings, begin
from pal_plugin.rounds.training import (
    accuracy,
    config_of_round,
    evaluation_images,
    features_of,
    trained,
    training_config,
)

Features = NDArray[np.float32]
ASKED, POINT, CURVE = "asked.json", "point.json", "curve"


def rounds(settings: Settings) -> list[RoundPoint]:
    """Ask and train by turns, and write the curve; what a run of the same settings has done already is not done again.

    Args:
        settings: what to ask, whom, how much, and how to train.

    Returns:
        The point of every round, from 0; a strategy that finds nothing left to ask ends the rounds early.

    Raises:
        ConfigError: settings that cannot be, or that differ from those of the run in the folder.
        OracleError: an oracle or strategy that lacks something, or a store that has lost answers.
        PalError: what asking and training raise.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(settings.out / ".lock", timeout=0):
            return _Rounds(settings).run()
    except filelock.Timeout as error:
        raise ConfigError(
            f"Another process is at work in {settings.out}", "Wait for it, or give another --out"
        ) from error


class _Rounds:
    """One run: its images, its config, its store, and where it has got to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cfg: DictConfig | None = None
        data: Mapping[str, Any] = settings.data
        if settings.method is not None:
            self.cfg = training_config(settings.method, settings.data, settings.seed, settings.overrides)
            data = self.cfg.data
        self.prices = Prices(settings.per_click, settings.per_second, settings.currency)
        self.dataset: ImageDataset = dataset_from_config(data, "train")
        self.test = None if self.cfg is None else evaluation_images(self.cfg, self.dataset)
        self.seeds = first_of_each_class(self.dataset.labels) if settings.strategy == "active" else None
        self.strategy = make_strategy(
            settings.strategy,
            len(self.dataset),
            grid=settings.grid,
            seed=settings.seed,
            seeds=self.seeds,
            order=settings.order,
            stop=settings.stop,
        )
        self.start: Features | None = None
        if settings.features is not None:
            self.start = load_features(settings.features, self.dataset.manifest).features

    def run(self) -> list[RoundPoint]:
        settings = self.settings
        points: list[RoundPoint] = []
        with RelationStore.ensure(settings.store, self.dataset.manifest) as self.store:
            self.oracle = make_oracle(settings, self.dataset, self.store)
            if self.seeds is not None:
                tell_seeds(self.store, self.seeds)
            begun = begin(settings.out, self._what(), {"questions": self.store.account().questions})
            self.questions_before = questions_at_begin(begun, settings.out / RECORD)
            for number in range(settings.rounds + 1):
                folder = settings.out / f"round_{number}"
                points.append(self._point(number, folder))
                for kind in ("csv", "json"):
                    write_curve(settings.out / f"{CURVE}.{kind}", points)
                if read_asked(folder / ASKED).exhausted:
                    say(f"the strategy {settings.strategy} finds nothing that is left to ask")
                    break
        return points

    def _what(self) -> dict[str, Any]:
        """Return what has to be the same for a run to go on: inputs that are files by their content."""
        settings = self.settings
        files = {"order": settings.order, "oracle": settings.oracle_file}
        content = {name: sha256(path) for name, path in files.items() if path is not None and path.is_file()}
        if self.start is not None:
            content["features"] = hashlib.sha256(np.ascontiguousarray(self.start).data).hexdigest()
        config = None if self.cfg is None else plain(self.cfg)
        return {
            "settings": settings.as_record(),
            "config": config,
            "dataset": self.dataset.manifest.digest,
            "content": content,
        }

    def _point(self, number: int, folder: Path) -> RoundPoint:
        """Return the point of a round, from what it left or from doing what is left of it."""
        if (folder / POINT).exists():
            self._check_store(read_asked(folder / ASKED).drawn)
            return read_point(folder / POINT)
        point = self._asked(number, folder)
        if self.cfg is not None and (number or self.start is None):
            point = replace(point, accuracy=self._trained(self.cfg, folder, related=point.related > 0))
        write_json(folder / POINT, asdict(point))
        say(_line(point, self.settings))
        return point

    def _asked(self, number: int, folder: Path) -> RoundPoint:
        """Ask the questions of a round, and keep what is known then; round 0 asks nothing and knows nothing."""
        if (folder / ASKED).exists():
            asked = read_asked(folder / ASKED)
            self._check_store(asked.drawn)
            return asked.point
        exhausted = number > 0 and not self._ask(number)
        if number:
            graph, account = self.store.graph(self.settings.policy), self.store.account()
        else:
            nothing = {"name": "none", "parameters": {}, "transitive": True}
            account, graph = (
                Account(),
                SimilarityGraph.from_edges(len(self.dataset), [], [], manifest=self.dataset.manifest, builder=nothing),
            )
        graph.save(folder / "graph")
        known = known_pairs(graph, self.dataset.labels)
        point = RoundPoint(
            account,
            known.related,
            known.unrelated,
            cost=self.prices.cost(account),
            purity=known.purity,
            related_purity=known.related_purity,
            round=number,
        )
        write_json(folder / ASKED, {"drawn": self.store.drawn, "exhausted": exhausted, "point": asdict(point)})
        return point

    def _ask(self, number: int) -> bool:
        """Ask the questions of a round in the space that the last one has learnt; return whether there were enough."""
        learnt = self.settings.out / f"round_{number - 1}" / "features"
        features = load_features(learnt, self.dataset.manifest).features if learnt.exists() else self.start
        return ask_until(
            self.questions_before + self.settings.questions_after(number),
            self.store,
            self.strategy,
            self.oracle,
            policy=self.settings.policy,
            annotator=self.settings.annotator,
            features=features,
        )

    def _trained(self, cfg: DictConfig, folder: Path, *, related: bool) -> float | None:
        """Train on the graph of a round, keep what the network makes of the images, and return its k-NN accuracy."""
        cfg = config_of_round(cfg, folder / "graph", folder / "run", related=related)
        run = trained(cfg)
        features = features_of(run, self.dataset, cfg)
        save_features(folder / "features", features, self.dataset.manifest, {"checkpoint": "../run/model.ckpt"})
        if self.test is None:
            return None
        return accuracy(features, self.dataset, features_of(run, self.test, cfg), self.test)

    def _check_store(self, drawn: int) -> None:
        if self.store.drawn < drawn:
            raise OracleError(
                f"{self.store.place} holds {self.store.drawn} questions, and the rounds in "
                f"{self.settings.out} have asked {drawn}",
                "Bring back the store that they were asked with, or begin anew with another --out",
            )


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _line(point: RoundPoint, settings: Settings) -> str:
    """Return a round's figures in a line."""
    words = [f"{point.account.questions} questions", f"{point.account.clicks} clicks"]
    rightly = "" if point.related_purity is None else f" ({100 * point.related_purity:.1f} % of them rightly)"
    words += [f"{point.related} pairs known to be related{rightly}, {point.unrelated} to be unrelated"]
    if point.cost:
        words += [f"cost {point.cost:.2f} {settings.currency}".rstrip()]
    if point.accuracy is not None:
        words += [f"k-NN {point.accuracy:.2f} %"]
    return f"round {point.round} of {settings.rounds}: {', '.join(words)}"


def say(line: str) -> None:
    """Tell the user how far it is."""
    print(f"pal oracle run: {line}", file=sys.stderr, flush=True)
