"""What is known, kept up answer by answer, is what resolving all answers gives."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.oracle.knowledge import Knowledge
from pal_plugin.oracle.policies import POLICIES, Answers, resolve
from pal_plugin.oracle.questions import Grid, Pairs

N = 24


def answers_of(told: list[tuple[Grid | Pairs, np.ndarray]]) -> Answers:
    pairs = [(k, min(i, j), max(i, j), s) for k, (q, r) in enumerate(told) for i, j, s in zip(q.i, q.j, r, strict=True)]
    question, a, b, relation = np.array(pairs, dtype=np.int64).reshape(-1, 4).T
    return Answers(question, a, b, relation.astype(np.int8), np.ones(len(a)), np.zeros(len(a), dtype=np.int64))


def some_question(generator: np.random.Generator) -> Grid | Pairs:
    samples = generator.permutation(N)
    return Grid(int(samples[0]), samples[1:5]) if generator.random() < 0.5 else Pairs(samples[:1], samples[1:2])


def due(knowledge: Knowledge, generator: np.random.Generator) -> Grid | Pairs:
    """What is to be asked again, half of the time, as a desk would."""
    if not len(knowledge.again) or generator.random() < 0.5:
        return some_question(generator)
    pair = knowledge.again[generator.integers(len(knowledge.again))]
    return Pairs(pair[1:], pair[:1])


def every_relation(known) -> np.ndarray:
    return known.relation(np.arange(N)[:, None], np.arange(N))


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "refuse"])
@pytest.mark.parametrize("noise", [0.0, 0.03, 0.2])
def test_one_by_one_is_all_at_once(policy, noise):
    by_itself = 0
    for seed in range(6):
        generator = np.random.default_rng(seed)
        labels = generator.integers(8, size=N)
        knowledge, told = Knowledge(N, policy), []
        for _ in range(40):
            question = due(knowledge, generator)
            right = np.where(labels[question.i] == labels[question.j], 1, -1)
            right[generator.random(len(question)) < noise] *= -1
            right[generator.random(len(question)) < 0.1] = 0
            told.append((question, right.astype(np.int8)))
            if knowledge.add(*told[-1]):
                by_itself += 1
            else:
                knowledge.resolve(answers_of(told))
            expected = resolve(answers_of(told), N, policy)
            np.testing.assert_array_equal(every_relation(knowledge.known), every_relation(expected.known))
            np.testing.assert_array_equal(knowledge.again, expected.again)
            assert knowledge.contradictions == (len(expected.again) if policy == "again" else expected.aside.size)
    assert by_itself > (60 if policy != "majority" or noise < 0.1 else 0)
    assert by_itself == 240 or noise


def test_an_answer_that_does_not_fit_is_known_before_it_is_taken_in():
    knowledge = Knowledge(N, "refuse")
    assert knowledge.add(Grid(0, [1, 2]), np.array([1, -1], dtype=np.int8))
    before = every_relation(knowledge.known)
    assert not knowledge.fits(Pairs([1], [2]), np.array([1], dtype=np.int8))
    assert not knowledge.fits(Grid(5, [1, 2]), np.array([1, 1], dtype=np.int8))  # within one answer
    assert knowledge.fits(Grid(5, [1, 2]), np.array([1, 0], dtype=np.int8))
    np.testing.assert_array_equal(every_relation(knowledge.known), before)


def test_contradictions_are_counted_until_they_are_settled():
    told = [(Grid(0, [1, 2]), np.array([1, 1])), (Pairs([1], [2]), np.array([-1]))]
    waiting, latest = Knowledge(N, "again"), Knowledge(N, "latest")
    waiting.resolve(answers_of(told))
    latest.resolve(answers_of(told))
    assert (waiting.contradictions, latest.contradictions) == (3, 1)
    told += [(Pairs([pair[0]], [pair[1]]), np.array([1])) for pair in waiting.again.tolist()]
    waiting.resolve(answers_of(told))
    assert waiting.contradictions == 0
    assert waiting.known.relation(1, 2) == 1
