"""What k-centre greedy keeps to on whatever points Hypothesis finds: ties, copies, near copies and all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pal_plugin.errors import SelectionError
from pal_plugin.selection import KCenterGreedy, farthest, product

# `greedy` is a function and keeps nothing from one example to the next
some = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])

BLOCKS = [  # "small", "two"
    (farthest, "FRONT", 3, 2),
    (farthest, "TILE", 4, 2),
    (farthest, "HELD_BYTES", 1 << 25, 0),
    (farthest, "PAIR_BYTES", 64, 1),
    (product, "CHUNK", 8, 2),
]
FEW = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5])  # copies and ties
ANY = FEW | st.floats(-1000, 1000, width=32)
NEAR = st.builds(lambda whole, tiny: whole + 1e-9 * tiny, st.integers(0, 2), st.integers(-3, 3))  # equal in float32


@st.composite
def points(draw, most=14, least=1):
    """(N, D) float32 or float64."""
    shape = draw(st.integers(least, most)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    elements = draw(st.sampled_from([FEW, ANY] if dtype is np.float32 else [FEW, ANY, NEAR]))
    return draw(hnp.arrays(dtype, shape, elements=elements))


@st.composite
def scattered(draw, most=40):
    """(N, D) without ties: real numbers at random."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return rng.standard_normal((draw(st.integers(2, most)), draw(st.integers(1, 9)))).astype(dtype)


@st.composite
def tasks(draw, most=14):
    """Points, a start, labelled ones and candidates, which may be labelled too; at least one can be picked."""
    X = draw(points(most))
    labelled = draw(st.lists(st.integers(0, len(X) - 1), unique=True, max_size=4))
    mask = draw(st.none() | hnp.arrays(bool, len(X)))
    free = np.setdiff1d(np.arange(len(X)) if mask is None else np.flatnonzero(mask), labelled)
    assume(free.size)
    start = int(draw(st.sampled_from(free.tolist())))
    return X, start, {"labelled": labelled, "candidates": mask}, free


def distances(X, centres):
    """(N, k) by differences in float64."""
    rows = X.astype(np.float64)
    return np.sqrt(np.square(rows[:, None] - rows[list(centres)]).sum(axis=2))


def best_radius(X, free, labelled, budget):
    """The least radius of all choices of `budget` free samples beside the labelled ones."""
    among = distances(X, range(len(X)))[free]
    choices = itertools.combinations(free, budget)
    return min(among[:, [*choice, *labelled]].min(axis=1).max() for choice in choices)


@settings(some, max_examples=150)
@given(tasks(most=30), st.sampled_from(["whole", "small", "two"]))
def test_picks_and_radii_are_those_of_a_plain_greedy(greedy, task, blocks) -> None:
    """With blocks of a few rows there are many rounds of bounds, and with whole ones a single one."""
    X, start, given_, free = task
    labelled = given_["labelled"]
    rows = np.sort([*free, *labelled])  # all that counts, in order: ties go to the lowest index
    first = [int(np.searchsorted(rows, row)) for row in labelled or [start]]
    own = 0 if labelled else 1  # the start is a pick
    picks, radii = greedy(X[rows], len(free) - own, first)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, *value in BLOCKS:
            if blocks != "whole":
                patch.setattr(module, name, value[blocks == "two"])
        found = KCenterGreedy(start=start).select(X, len(free), **given_)
    assert found.indices[:own].tolist() == [start][:own]
    np.testing.assert_array_equal(found.indices[own:], rows[picks])
    np.testing.assert_array_equal(found.radii[own:], radii)


@some
@given(tasks(), st.sampled_from(["medoid", "farthest", "random", "index"]), st.integers(0, 3))
def test_free_samples_once_each_and_nothing_else(task, start, seed) -> None:
    X, index, given_, free = task
    found = KCenterGreedy(start=index if start == "index" else start, seed=seed).select(X, len(free), **given_)
    assert sorted(found.indices.tolist()) == free.tolist()
    assert found.indices.dtype == np.int64
    assert found.radii[-1] == 0


@some
@given(tasks(), st.data())
def test_every_radius_covers_what_was_left_and_none_is_larger_than_the_one_before(task, data) -> None:
    X, start, given_, free = task
    found = KCenterGreedy(start=start).select(X, data.draw(st.integers(1, len(free))), **given_)
    for budget, radius in enumerate(found.radii, start=1):
        nearest = distances(X, [*given_["labelled"], *found.indices[:budget]])[free].min(axis=1)
        assert radius == nearest.max()
    assert (np.diff(found.radii) <= 0).all()


@some
@given(tasks(), st.data())
def test_budgets_are_nested(task, data) -> None:
    """Nothing is picked for none, labelled ones take nothing of a budget, and going on is starting with more."""
    X, start, given_, free = task
    selector = KCenterGreedy(start=start)
    whole = selector.select(X, len(free), **given_)
    less, more = sorted(data.draw(st.tuples(*[st.integers(0, len(free))] * 2)))
    shorter = selector.select(X, less, **given_)
    assert len(shorter) == len(shorter.radii) == less
    for found, budget in ((shorter, less), (selector.select(X, more, after=shorter, **given_), more)):
        np.testing.assert_array_equal(found.indices, whole.indices[:budget])
        np.testing.assert_array_equal(found.radii, whole.radii[:budget])


@some
@given(tasks(), st.integers(1, 3))
def test_a_budget_above_what_is_free_is_named(task, above) -> None:
    X, start, given_, free = task
    budget = len(free) + above
    said = f"only {len(free)} of {len(X)} samples" if budget <= len(X) else f"{budget} is not between 0 and"
    with pytest.raises(SelectionError, match=said):
        KCenterGreedy(start=start).select(X, budget, **given_)


@settings(some, max_examples=60)
@given(tasks(most=10))
def test_no_choice_beside_the_labelled_has_less_than_half_the_radius(task) -> None:
    """Gonzalez's bound, which labelled samples as further centres leave as it is."""
    X, start, given_, free = task
    found = KCenterGreedy(start=start).select(X, len(free), **given_)
    for budget, radius in enumerate(found.radii, start=1):
        best = best_radius(X, free, given_["labelled"], budget)
        assert best <= radius <= 2 * best * (1 + 1e-12)
        assert found.lower_bounds[budget - 1] <= best * (1 + 1e-12)


@some
@given(points(most=6), st.data())
def test_copies_come_after_all_that_differ(X, data) -> None:
    different = np.unique(X + 0, axis=0)  # -0.0 is 0.0
    which = data.draw(st.permutations([*range(len(different))] * data.draw(st.integers(2, 3))))
    copied = different[which]
    labelled = data.draw(st.lists(st.integers(0, len(which) - 1), unique=True, max_size=2))
    known = {which[row] for row in labelled}
    found = KCenterGreedy().select(copied, len(which) - len(labelled), labelled=labelled)
    new = len(different) - len(known)
    assert {which[row] for row in found.indices[:new]} == set(range(len(different))) - known
    assert (found.radii[: new - 1] > 0).all() if new else (found.radii == 0).all()
    assert (found.radii[max(0, new - 1) :] == 0).all()
    assert (np.diff(found.indices[new:]) > 0).all()


@some
@given(tasks(), st.sampled_from([np.float16, np.int32, np.float64]), st.sampled_from(["euclidean", "cosine"]))
@pytest.mark.filterwarnings("ignore:Row .* of the features is zero")
def test_the_type_of_the_numbers_does_not_matter(task, dtype, metric) -> None:
    X, start, given_, free = task
    X = np.clip(np.trunc(X), -1000, 1000).astype(np.float32)  # whole numbers that each of them holds
    found, other = (
        KCenterGreedy(start=start, metric=metric).select(rows, len(free), **given_) for rows in (X, X.astype(dtype))
    )
    np.testing.assert_array_equal(found.indices, other.indices)
    np.testing.assert_array_equal(found.radii, other.radii)


@some
@given(scattered(), st.data())
def test_permuted_rows_have_the_permuted_picks(X, data) -> None:
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(X))
    place = np.argsort(order)  # where each row has gone
    start = data.draw(st.integers(0, len(X) - 1))
    labelled = data.draw(st.lists(st.integers(0, len(X) - 1).filter(lambda row: row != start), unique=True, max_size=3))
    budget = len(X) - len(labelled)
    found = KCenterGreedy(start=start).select(X, budget, labelled=labelled)
    moved = KCenterGreedy(start=int(place[start])).select(X[order], budget, labelled=place[labelled])
    np.testing.assert_array_equal(order[moved.indices], found.indices)
    np.testing.assert_array_equal(moved.radii, found.radii)


@some
@given(tasks(), st.integers(-60, 60), st.integers(-1000, 1000))
def test_moved_and_scaled_points_have_the_same_picks(task, exponent, step) -> None:
    """Ties too: of whole numbers and powers of two every distance is exact."""
    X, start, given_, free = task
    X = np.trunc(X.astype(np.float64))
    found = KCenterGreedy(start=start).select(X, len(free), **given_)
    moved = KCenterGreedy(start=start).select(np.ldexp(X + step, exponent), len(free), **given_)
    np.testing.assert_array_equal(moved.indices, found.indices)
    np.testing.assert_array_equal(moved.radii, np.ldexp(found.radii, exponent))


@some
@given(scattered(), st.data())
def test_cosine_does_not_see_the_length_of_a_row(X, data) -> None:
    exponents = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-20, 20, (len(X), 1))
    found = KCenterGreedy(start=0, metric="cosine").select(X, len(X))
    scaled = KCenterGreedy(start=0, metric="cosine").select(np.ldexp(X, exponents), len(X))
    np.testing.assert_array_equal(scaled.indices, found.indices)
    np.testing.assert_array_equal(scaled.radii, found.radii)
