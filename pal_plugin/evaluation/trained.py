"""The measures that train on augmented images: by SGD, with seeds, so their figures have a spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pal_plugin.evaluation._checks import Scores
from pal_plugin.evaluation.choice import Results, choose, diverged, fitted, over_seeds, report
from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.parts import Choice, Part, Parts
from pal_plugin.evaluation.sgd import Place, Recipe, fit_heads, fit_network
from pal_plugin.evaluation.source import Source

SGD_GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""The range of solo-learn's own linear configs."""
FINETUNE_GRID = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class _Trained:
    """What the two have in common.

    Attributes:
        rates: learning rates for a batch of 256; several are chosen from, by the first seed.
        recipe: everything else.
        seeds: of the runs that the figures are the mean of.
    """

    rates: Sequence[float] = (0.3,)
    recipe: Recipe = field(default_factory=Recipe)
    seeds: Sequence[int] = (0,)
    name: ClassVar[str]
    fits: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    reads_labels: ClassVar[bool] = True

    @property
    def chooses(self) -> bool:
        """Whether there is more than one learning rate."""
        return len(self.rates) > 1

    def run(self, source: Source, parts: Parts) -> Results:
        """Return mean accuracies over the seeds, their spread, the learning rate, and what each rate gave."""
        fit = fitted(parts)

        def judge(choice: Choice) -> list[float | None]:
            scores = self._scores(source, choice.fit, choice.val, self.rates, self.seeds[0])
            return [None if found is None else found.accuracy(choice.val.images.labels, 1) for found in scores]

        rate, record = choose("lr", self.rates, parts, judge)
        runs = []
        for seed in self.seeds:
            (scores,) = self._scores(source, fit, parts.read, [rate], seed)
            if scores is None:
                raise diverged(self.name, rate)
            runs.append(report(scores, parts.read))
        return over_seeds(runs, self.seeds) | record | vars(self.recipe)

    def _scores(
        self, source: Source, fit: Part, read: Part, rates: Sequence[float], seed: int
    ) -> Sequence[Scores | None]:
        """Train at each rate and return the scores of `read`, None where training diverged."""
        raise NotImplementedError


@dataclass(frozen=True)
class LinearSGD(_Trained):
    """solo-learn's linear evaluation: a head trained by SGD on augmented images, the backbone frozen."""

    name: ClassVar[str] = "linear_sgd"

    def _scores(
        self, source: Source, fit: Part, read: Part, rates: Sequence[float], seed: int
    ) -> Sequence[Scores | None]:
        backbone, place = source.network()
        heads = fit_heads(backbone, fit.images, rates, self.recipe, seed, place)
        features = source.features(read)
        return [None if head is None else _head_scores(head, features) for head in heads]


@dataclass(frozen=True)
class Finetune(_Trained):
    """The whole network, trained on the labels with its new head.

    The default rate and length are SimCLR's for a tenth of the labels (Chen et al., arXiv 2002.05709, B.5).
    """

    rates: Sequence[float] = (0.05,)
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=30))
    name: ClassVar[str] = "finetune"

    def _scores(
        self, source: Source, fit: Part, read: Part, rates: Sequence[float], seed: int
    ) -> Sequence[Scores | None]:
        backbone, place = source.network()
        networks = (fit_network(backbone, fit.images, rate, self.recipe, seed, place) for rate in rates)
        return [None if network is None else _network_scores(network, read, place) for network in networks]


def _head_scores(head: nn.Linear, features: NDArray[np.float32]) -> Scores:
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    return Scores(features @ weight.T + bias, np.arange(len(weight)))


def _network_scores(network: nn.Module, part: Part, place: Place) -> Scores:
    options: dict[str, Any] = {"device": place.device, "precision": place.precision}
    logits = encode(network, part.images, crop_size=place.crop_size, num_workers=place.num_workers, **options)
    return Scores(logits, np.arange(logits.shape[1]))
