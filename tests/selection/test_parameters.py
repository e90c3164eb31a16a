"""Parameters of selectors are what their constructors say, or are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.selection import (
    CoreSet,
    FacilityLocation,
    KCenterGreedy,
    KMedoids,
    ProbCover,
    RandomSelection,
    Selector,
    TypiClust,
)
from pal_plugin.selection.base import Task
from pal_plugin.selection.parameters import check_parameters

if TYPE_CHECKING:
    from decimal import Decimal

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (TypiClust(first="x"), "first is 'x'. Set it to a whole number"),
        (TypiClust(least=1.5), "least is 1.5. Set it to a whole number"),
        (KMedoids(most_clusters="all"), "most_clusters is 'all'. Set it to a whole number or null"),
        (KCenterGreedy(metric=3), "metric is 3. Set it to a word"),
        (KCenterGreedy(start=None), "start is None. Set it to a word or a whole number"),
        (KCenterGreedy(balanced=1), "balanced is 1. Set it to true or false"),
        (KCenterGreedy(trim=True), "trim is True. Set it to a number"),
        (KCenterGreedy(seed="foo"), "seed is 'foo'. Set it to a whole number"),
        (ProbCover(delta=[1]), "delta is .1.. Set it to a number or a word"),
        (CoreSet(batch="x"), "batch is 'x'. Set it to a whole number or a list of whole numbers"),
        (CoreSet(batch=[1, 2.5]), "list of whole numbers"),
        (CoreSet(refit=3), "refit is 3. Set it to a function or null"),
        (RandomSelection(seed=-1), "The seed is -1. Choose a whole number from 0 to 4294967295"),
        (KMedoids(seed=10**22), "The seed is 10000000000000000000000"),
        (KMedoids(first=0), "first is 0. Set it to 1 or more"),
        (KMedoids(most_clusters=-3), "most_clusters is -3. Set it to 1 or more"),
        (TypiClust(least=-1), "least is -1. Set it to 0 or more"),
        (ProbCover(clusters=0), "clusters is 0. Set it to 1 or more"),
        (ProbCover(clusters=-1, delta=0.5), "clusters is -1. Set it to 1 or more"),
        (ProbCover(purity=-0.5), "purity=-0.5 is no share of the balls"),
        (ProbCover(purity=float("nan")), "purity=nan is no share"),
        (ProbCover(purity=10**400), "purity=10{400} is no share"),
        (ProbCover(delta="x"), "no delta called 'x'"),
        (ProbCover(delta=float("nan")), "delta=nan: .* is no distance"),
        (ProbCover(delta=-1), "delta=-1: .* is no distance"),
        (ProbCover(delta=10**400), "delta=10{400}: .* is no distance"),
        (KCenterGreedy(trim=float("nan")), "trim=nan is no share"),
        (KCenterGreedy(device="cpu:x"), "There is no device 'cpu:x'"),
        (FacilityLocation(device="cpu:-1"), "There is no device 'cpu:-1'"),
    ],
    ids=lambda case: str(case)[:60],
)
def test_another_type_is_named_before_the_work(selector: Selector, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        selector.select(X, 4)


@pytest.mark.parametrize(
    "selector",
    [
        KCenterGreedy(seed=np.int64(1), start=np.int32(3), trim=np.float32(0.25), balanced=np.bool_(False)),
        KCenterGreedy(trim=0, metric=np.str_("cosine"), seed=2**32 - 1),
        KMedoids(most_clusters=np.int64(9)),
        ProbCover(delta=2),
        CoreSet(batch=np.array([2, 4]), refit=lambda labelled: X),
        CoreSet(batch=(2, np.int64(4))),
    ],
    ids=lambda selector: type(selector).__name__,
)
def test_what_counts_as_such_a_type_is_taken(selector: Selector) -> None:
    assert len(selector.select(X, 6)) == 6


class Shares(Selector):
    """A plugin's, with an annotation of a kind that is not judged."""

    def __init__(self, shares: dict[str, float] | None = None, first: int = 0) -> None:
        self.shares = shares
        self.first = first

    def _order(self, task: Task) -> tuple[Any, None]:
        return task.candidates[: task.budget], None


class Exact(Shares):
    """A plugin's, with an annotation that cannot be found when it runs."""

    def __init__(self, exact: Decimal | None = None) -> None:
        self.exact = exact


def test_annotations_of_plugins_are_judged_where_they_can_be() -> None:
    assert Shares(shares="half").select(X, 3).indices.tolist() == [0, 1, 2]
    assert Exact(exact="half").select(X, 3).indices.tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="first is 'half'"):
        check_parameters(Shares(first="half"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--method typiclust --param first=x", "first is 'x'"),
        ("--param metric=3", "metric is 3"),
        ("--param seed=foo", "seed is 'foo'"),
        ("--param seed=-1 --method random", "seed is -1"),
        ("--method coreset --param refit=3", "refit is 3"),
        ("--metric cosine --param metric=euclidean", "The parameter metric is given twice"),
        ("--param trim=0.1 --param trim=0.2", "The parameter trim is given twice"),
    ],
)
def test_words_of_a_command_are_named(arguments, said, tmp_path, capsys) -> None:
    np.save(tmp_path / "rows.npy", X)
    out = tmp_path / "picks.csv"
    command = ["select", "--features", str(tmp_path / "rows.npy"), "--budget", "3", "--out", str(out)]
    assert main([*command, *arguments.split()]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1
    assert not out.exists()


def test_features_whose_squares_leave_float64() -> None:
    with pytest.raises(FeatureError, match=r"The features go up to .*whose squares leave float64"):
        KCenterGreedy().select(X * 1e200, 4)
