"""The measures of frozen features, each with what can be chosen about it.

An option that is given several values is chosen on the val part by top-1 accuracy, the first of equals; the part that
is read is read once, with the value chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation._checks import Scores
from pal_plugin.evaluation.choice import Results, choose, fitted, per_class_accuracy, report
from pal_plugin.evaluation.knn import knn_scores
from pal_plugin.evaluation.linear import linear_scores
from pal_plugin.evaluation.parts import Choice, Part, Parts
from pal_plugin.evaluation.retrieval import DEFAULT_KS, first_match, recalls
from pal_plugin.evaluation.source import Source

KNN_GRID = (1, 5, 10, 20, 50, 100, 200)
LINEAR_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)
GALLERIES = ("own", "fit")


class Measure(Protocol):
    """Something to find out about a representation."""

    @property
    def name(self) -> str:
        """What it is called in commands and results."""

    @property
    def fits(self) -> bool:
        """Whether it needs a part to fit on."""

    @property
    def chooses(self) -> bool:
        """Whether something is left to be chosen."""

    @property
    def trains(self) -> bool:
        """Whether it shows the network augmented images."""

    @property
    def reads_labels(self) -> bool:
        """Whether it is of the images' labels, and so of labelled images alone."""

    def run(self, source: Source, parts: Parts) -> Results:
        """Return the figures, JSON only; accuracies in percent."""


@dataclass(frozen=True)
class KNN:
    """Weighted k-nearest-neighbour accuracy.

    Attributes:
        ks: how many neighbours vote; several are chosen from.
        metric: `"cosine"` or `"euclidean"`.
    """

    ks: Sequence[int] = (20,)
    metric: str = "cosine"
    name: ClassVar[str] = "knn"
    fits: ClassVar[bool] = True
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = True

    @property
    def chooses(self) -> bool:
        """Whether there is more than one k."""
        return len(self.ks) > 1

    def run(self, source: Source, parts: Parts) -> Results:
        """Return accuracies, the k, and what each k gave."""
        fit, ks = fitted(parts), self.ks
        if parts.choice is not None and self.chooses:
            ks = [k for k in ks if k <= len(parts.choice.fit.images)]

        def judge(choice: Choice) -> list[float]:
            truth = choice.val.images.labels
            return [self._scores(source, choice.fit, choice.val, k).accuracy(truth, 1) for k in ks]

        k, record = choose("k", ks, parts, judge)
        return report(self._scores(source, fit, parts.read, k), parts.read) | record | {"metric": self.metric}

    def _scores(self, source: Source, fit: Part, read: Part, k: int) -> Scores:
        return knn_scores(source.features(fit), fit.images.labels, source.features(read), k, metric=self.metric)


@dataclass(frozen=True)
class Linear:
    """Logistic regression by L-BFGS on frozen, unaugmented features.

    Attributes:
        inverse_penalties: scikit-learn's `C`; several are chosen from.
    """

    inverse_penalties: Sequence[float] = (1.0,)
    name: ClassVar[str] = "linear"
    fits: ClassVar[bool] = True
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = True

    @property
    def chooses(self) -> bool:
        """Whether there is more than one penalty."""
        return len(self.inverse_penalties) > 1

    def run(self, source: Source, parts: Parts) -> Results:
        """Return accuracies, whether it converged, `C`, and what each `C` gave."""
        fit = fitted(parts)

        def judge(choice: Choice) -> list[float]:
            truth, penalties = choice.val.images.labels, self.inverse_penalties
            return [self._fit(source, choice.fit, choice.val, penalty)[0].accuracy(truth, 1) for penalty in penalties]

        penalty, record = choose("C", self.inverse_penalties, parts, judge)
        scores, state = self._fit(source, fit, parts.read, penalty)
        return report(scores, parts.read) | state | record

    def _fit(self, source: Source, fit: Part, read: Part, penalty: float) -> tuple[Scores, dict[str, bool | int]]:
        features = source.features(fit), fit.images.labels, source.features(read)
        return linear_scores(*features, inverse_penalty=penalty)


@dataclass(frozen=True)
class Coarse:
    """`Linear` for the classes above the labels, such as superclasses of species; images without one are left out.

    Attributes:
        inverse_penalties: scikit-learn's `C`; several are chosen from.
    """

    inverse_penalties: Sequence[float] = (1.0,)
    name: ClassVar[str] = "coarse"
    fits: ClassVar[bool] = True
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False

    @property
    def chooses(self) -> bool:
        """Whether there is more than one penalty."""
        return len(self.inverse_penalties) > 1

    def run(self, source: Source, parts: Parts) -> Results:
        """Return the figures of `Linear`; a data set without such classes is a DataError."""
        return Linear(self.inverse_penalties).run(source, parts.above())


@dataclass(frozen=True)
class Retrieval:
    """Recall at k.

    Attributes:
        ks: the k's, all of them reported.
        gallery: what is searched: `"own"`, the other images of the part that is read (leave one out), or `"fit"`.
        metric: `"cosine"` or `"euclidean"`.

    Raises:
        ConfigError: no such gallery.
    """

    ks: Sequence[int] = DEFAULT_KS
    gallery: str = "own"
    metric: str = "cosine"
    name: ClassVar[str] = "retrieval"
    chooses: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.gallery not in GALLERIES:
            raise ConfigError(f"There is no gallery {self.gallery!r}", f"Choose one of {', '.join(GALLERIES)}")

    @property
    def fits(self) -> bool:
        """Whether the gallery is another part."""
        return self.gallery == "fit"

    def run(self, source: Source, parts: Parts) -> Results:
        """Return R@k, and R@1 of each class."""
        query = source.features(parts.read), parts.read.images.labels
        gallery: tuple[Any, ...] = ()
        if self.fits:
            fit = fitted(parts)
            gallery = source.features(fit), fit.images.labels
        ranks = first_match(*query, *gallery, depth=max(self.ks, default=0), metric=self.metric)
        counts = {"queries": len(ranks), "without_match": int((ranks < 0).sum())}
        per_class = {"per_class": per_class_accuracy(ranks == 0, parts.read)}
        return recalls(ranks, self.ks) | counts | {"gallery": self.gallery, "metric": self.metric} | per_class
