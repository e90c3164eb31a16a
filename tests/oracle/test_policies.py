"""Contradictions and policies against brute force on random answers: closure by matrix powers, votes in a matrix."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.oracle.policies import POLICIES, Answers, contradictions, describe, resolve

NODES = 7
pairs = st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda pair: pair[0] != pair[1])
given_answers = st.lists(st.tuples(pairs, st.sampled_from([1, 1, -1, -1, 0])), max_size=18)
Told = list[tuple[tuple[int, int], int]]


def answers_of(told: Told, confidence: list[float] | None = None) -> Answers:
    size = len(told)
    ends = np.array([sorted(pair) for pair, _ in told], dtype=np.int64).reshape(-1, 2)
    return Answers(
        np.arange(1, size + 1),
        ends[:, 0],
        ends[:, 1],
        np.array([relation for _, relation in told], dtype=np.int8),
        np.ones(size) if confidence is None else np.array(confidence, dtype=np.float64),
        np.zeros(size, dtype=np.int64),
    )


def matrix(told: Told, relation: int) -> np.ndarray:
    found = np.zeros((NODES, NODES), dtype=int)
    for (a, b), what in told:
        if what == relation:
            found[a, b] = found[b, a] = 1
    return found


def related_by_powers(told: Told) -> np.ndarray:
    return np.linalg.matrix_power(matrix(told, 1) + np.eye(NODES, dtype=int), NODES) > 0


def closed_by_powers(told: Told) -> np.ndarray | None:
    """(NODES, NODES) of +1, −1, 0: the closure of consistent answers; None where they contradict each other."""
    related = related_by_powers(told)
    apart = related.astype(int) @ matrix(told, -1) @ related.astype(int) > 0
    return None if (related & apart).any() else related.astype(int) - apart


def known_of(partition) -> np.ndarray:
    every = np.arange(NODES)
    return partition.relation(every[:, None], every)


@settings(max_examples=300, deadline=None)
@given(given_answers)
def test_contradictions_and_their_chains_by_matrix_powers(told: Told) -> None:
    found = contradictions(answers_of(told), NODES)
    related = related_by_powers(told)
    expected = {tuple(sorted(pair)) for pair, relation in told if relation == -1 and related[pair]}
    assert {(one.a, one.b) for one in found} == expected
    assert len(found) == len(expected)
    links = matrix(told, 1)
    for one in found:
        assert told[one.cannot_link][1] == -1
        assert set(told[one.cannot_link][0]) == {one.a, one.b}
        assert not any(relation == -1 and set(pair) == {one.a, one.b} for pair, relation in told[one.cannot_link + 1 :])
        place = one.a
        for answer in one.chain:  # each must-link leads on from where the one before it ended
            pair, relation = told[answer]
            assert relation == 1
            assert place in pair
            place = sum(pair) - place
        assert place == one.b
        shortest = next(k for k in range(1, NODES) if np.linalg.matrix_power(links, k)[one.a, one.b])
        assert len(one.chain) == shortest


@settings(max_examples=200, deadline=None)
@given(given_answers)
def test_without_contradictions_every_policy_is_the_closure(told: Told) -> None:
    closed = closed_by_powers(told)
    for policy in [*POLICIES, None]:
        if closed is None:
            continue
        resolution = resolve(answers_of(told), NODES, policy)
        np.testing.assert_array_equal(known_of(resolution.known), closed)
        assert resolution.aside.size == 0
        assert resolution.again.shape == (0, 2)


@settings(max_examples=200, deadline=None)
@given(given_answers)
def test_refuse_refuses_contradictions_and_nothing_else(told: Told) -> None:
    if closed_by_powers(told) is not None:
        resolve(answers_of(told), NODES, "refuse")
        return
    one = contradictions(answers_of(told), NODES)[0]
    with pytest.raises(OracleError, match=f"{one.a} and {one.b} are said to be unrelated"):
        resolve(answers_of(told), NODES)


@settings(max_examples=300, deadline=None)
@given(given_answers)
def test_latest_keeps_every_answer_that_fits_the_newer_ones(told: Told) -> None:
    kept: Told = []
    aside = []
    for place in range(len(told) - 1, -1, -1):
        if closed_by_powers([*kept, told[place]]) is None:
            aside.append(place)
        else:
            kept.append(told[place])
    resolution = resolve(answers_of(told), NODES, "latest")
    assert resolution.aside.tolist() == aside[::-1]
    np.testing.assert_array_equal(known_of(resolution.known), closed_by_powers(kept))


def contracted(told: Told, confidence: list[float]) -> np.ndarray:
    """Greedy additive edge contraction with a matrix of votes that is searched from end to end."""
    parts = [[node] for node in range(NODES)]
    votes = np.zeros((NODES, NODES))
    for ((a, b), relation), weight in zip(told, confidence, strict=True):
        votes[a, b] += relation * weight
        votes[b, a] += relation * weight

    def between(one: list[int], two: list[int]) -> float:
        return votes[np.ix_(one, two)].sum()

    while True:
        best = max(itertools.combinations(parts, 2), key=lambda both: between(*both), default=None)
        if best is None or between(*best) <= 1e-9:
            break
        parts = [part for part in parts if part not in best] + [best[0] + best[1]]
    known = np.zeros((NODES, NODES), dtype=int)
    for one, two in itertools.product(parts, parts):
        known[np.ix_(one, two)] = 1 if one is two else -int(between(one, two) < -1e-9)
    return known


@settings(max_examples=300, deadline=None)
@given(given_answers, st.integers(0, 2**32))
def test_majority_contracts_the_heaviest_votes_first(told: Told, seed: int) -> None:
    confidence = (
        np.random.default_rng(seed).uniform(0.1, 1, len(told)).tolist()
    )  # no two sums alike: which is heaviest is beyond doubt
    resolution = resolve(answers_of(told, confidence), NODES, "majority")
    expected = contracted(told, confidence)
    np.testing.assert_array_equal(known_of(resolution.known), expected)
    outvoted = [place for place, (pair, relation) in enumerate(told) if relation and expected[pair] != relation]
    assert resolution.aside.tolist() == outvoted


def test_majority_counts_votes_by_confidence_and_leaves_ties_unknown() -> None:
    told = [((0, 1), 1), ((0, 1), 1), ((0, 1), -1), ((2, 3), 1), ((2, 3), -1), ((4, 5), 1), ((4, 5), -1)]
    resolution = resolve(answers_of(told, [1, 1, 1, 0.3, 0.3, 0.4, 0.9]), NODES, "majority")
    assert resolution.known.relation([0, 2, 4], [1, 3, 5]).tolist() == [1, 0, -1]
    assert resolution.aside.tolist() == [2, 3, 4, 5]
    # three answers of one weight that cannot all be true: two are joined, and of the third nothing is known
    circle = resolve(answers_of([((0, 1), 1), ((1, 2), 1), ((0, 2), -1)]), NODES, "majority").known
    assert sorted(circle.relation([0, 1, 0], [1, 2, 2]).tolist()) == [0, 0, 1]


def test_again_sets_a_cannot_link_and_its_chain_aside_until_they_are_settled() -> None:
    told: Told = [((0, 1), 1), ((1, 2), 1), ((3, 4), 1), ((0, 2), -1)]
    first = resolve(answers_of(told), NODES, "again")
    assert first.aside.tolist() == [0, 1, 3]
    assert {tuple(pair) for pair in first.again.tolist()} == {(0, 1), (1, 2), (0, 2)}
    assert first.known.relation([0, 1, 0, 3], [1, 2, 2, 4]).tolist() == [0, 0, 0, 1]

    told += [((0, 1), 1), ((0, 2), 1)]  # the first answer is confirmed, the last one taken back; 1 ~ 2 follows
    second = resolve(answers_of(told), NODES, "again")
    assert second.aside.tolist() == [0, 1, 3]
    assert second.again.shape == (0, 2)
    assert second.known.relation([0, 1, 0], [1, 2, 2]).tolist() == [1, 1, 1]


def test_again_finds_the_must_link_that_closes_a_cycle_over_a_cannot_link() -> None:
    told: Told = [((0, 1), 1), ((2, 3), 1), ((0, 3), -1), ((1, 2), 1)]
    resolution = resolve(answers_of(told), NODES, "again")
    assert resolution.aside.tolist() == [0, 1, 2, 3]
    assert len(resolution.again) == 4


def test_again_not_sure_ends_the_asking() -> None:
    told: Told = [((0, 1), 1), ((0, 1), -1)]
    assert resolve(answers_of(told), NODES, "again").again.tolist() == [[0, 1]]
    told.append(((1, 0), 0))
    resolution = resolve(answers_of(told), NODES, "again")
    assert resolution.again.shape == (0, 2)
    assert resolution.known.relation(0, 1) == 0
    assert resolution.aside.tolist() == [0, 1]


def test_again_where_all_are_settled_and_contradict_each_other_nothing_is_known() -> None:
    circle: Told = [((0, 1), 1), ((1, 2), 1), ((0, 2), -1)]
    resolution = resolve(answers_of([*circle, *circle]), NODES, "again")
    assert resolution.aside.tolist() == [0, 1, 2, 3, 4, 5]
    assert resolution.again.shape == (0, 2)
    assert not known_of(resolution.known)[np.triu_indices(NODES, 1)].any()
    # the last word on a settled pair counts
    resolution = resolve(answers_of([*circle, *circle, ((0, 2), 1)]), NODES, "again")
    assert resolution.known.relation(0, 2) == 1


@settings(max_examples=200, deadline=None)
@given(given_answers)
def test_again_keeps_what_is_consistent_and_asks_only_what_is_not_known(told: Told) -> None:
    resolution = resolve(answers_of(told), NODES, "again")
    standing: Told = [
        answer for place, answer in enumerate(told) if answer[1] and place not in resolution.aside.tolist()
    ]
    np.testing.assert_array_equal(known_of(resolution.known), closed_by_powers(standing))
    again = [tuple(pair) for pair in resolution.again.tolist()]
    assert len(again) == len(set(again))
    assert all(a < b and resolution.known.relation(a, b) == 0 for a, b in again)
    aside = {tuple(sorted(told[place][0])) for place in resolution.aside.tolist()}
    assert set(again) <= aside


@settings(max_examples=200, deadline=None)
@given(given_answers, st.lists(st.integers(0, 2), min_size=NODES, max_size=NODES), st.booleans())
def test_again_asks_no_pair_forever(told: Told, classes: list[int], stubborn: bool) -> None:
    """Whether what is asked again is answered by the truth, or as it was before: the asking ends."""
    before = {tuple(sorted(pair)): relation for pair, relation in told}
    asked: list[tuple[int, int]] = []
    told = list(told)
    while len(again := resolve(answers_of(told), NODES, "again").again):
        a, b = again[0].tolist()
        asked.append((a, b))
        truth = 1 if classes[a] == classes[b] else -1
        told.append(((a, b), before[a, b] if stubborn else truth))
        assert len(asked) == len(set(asked))


def test_true_answers_to_what_is_asked_again_put_it_right() -> None:
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 3, NODES)
    every = list(itertools.combinations(range(NODES), 2))
    told: Told = [((a, b), 1 if classes[a] == classes[b] else -1) for a, b in every]
    wrong = every[4]
    told[4] = (wrong, -told[4][1])
    while len(again := resolve(answers_of(told), NODES, "again").again):
        told += [((a, b), 1 if classes[a] == classes[b] else -1) for a, b in again.tolist()]
    known = resolve(answers_of(told), NODES, "again").known
    np.testing.assert_array_equal(known.component[:, None] == known.component, classes[:, None] == classes)


def test_a_contradiction_is_described_by_its_questions() -> None:
    answers = answers_of([((0, 1), 1), ((1, 2), 1), ((0, 2), -1)])
    (one,) = contradictions(answers, NODES)
    assert describe(one, answers) == (
        "0 and 2 are said to be unrelated (question 3), and to be related by 0 – 1 (question 1), 1 – 2 (question 2)"
    )
    names = [f"img{node}" for node in range(NODES)]
    assert "'img0' and 'img2' are said" in describe(one, answers, names)


def test_many_contradictions_are_counted_and_a_few_named() -> None:
    told: Told = [((0, node), 1) for node in range(1, NODES)]
    told += [((a, b), -1) for a, b in itertools.combinations(range(1, NODES), 2)]
    with pytest.raises(OracleError) as caught:
        resolve(answers_of(told), NODES)
    assert len(re.findall("are said to be unrelated", str(caught.value))) == 5
    assert "and 10 more" in str(caught.value)


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'agian'.*again"):
        resolve(answers_of([]), NODES, "agian")
