"""What batches keep to for any size, batch size, number of ranks, seed and epoch that Hypothesis finds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pal_plugin.data import (
    EpochSampler,
    ImageDataset,
    PairComposition,
    PairDataset,
    Policy,
    RelatedSampler,
    Request,
    pair_loader,
)
from pal_plugin.errors import DataError
from pal_plugin.graph import Cliques, SimilarityGraph, relations

SEEDS = st.integers(-(2**63), 2**64)
EPOCHS = st.integers(0, 50)
RANKS = st.integers(1, 4)


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def all_ranks(make, world, epoch):
    """The parts of every batch, by batch and rank; a rank with fewer batches would be waited for for ever."""
    ranks = [epoch_of(make(rank=rank, world_size=world), epoch) for rank in range(world)]
    assert all(len(requests) == len(ranks[0]) for requests in ranks)
    return list(zip(*ranks, strict=True))


def put_together(parts, name="indices"):
    """A batch of all ranks: rank r of W has its places r, r + W, …"""
    whole = np.full(sum(len(getattr(part, name)) for part in parts), -1)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = getattr(part, name)
    return whole


def numbered(size, labelled=True):
    """Images 2 × 2 of one grey each, which is their number."""
    images = np.arange(size, dtype=np.uint8)[:, None, None, None] + np.zeros((2, 2, 3), np.uint8)
    labels = np.arange(size) % 3 if labelled else np.full(size, -1)
    return ImageDataset(
        "n", "train", images, labels, tuple(map(str, range(size))), ("a", "b", "c"), (0.5,) * 3, (1,) * 3
    )


@st.composite
def edges(draw, size):
    """Directed edges between `size` nodes, some of them negative, some of them loops; some nodes have none."""
    pairs = draw(st.lists(st.tuples(*[st.integers(0, size - 1)] * 2), unique=True, max_size=3 * size))
    return [(*pair, draw(st.sampled_from([1.0, 0.5, -1.0]))) for pair in pairs]


def graph_of(size, found, manifest=None):
    rows, columns, weights = zip(*found, strict=True) if found else ((), (), ())
    as_numbers = np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
    return SimilarityGraph.from_edges(size, *as_numbers, np.array(weights), manifest=manifest)


def positives_of(size, found):
    """Of every node, what its pairs may show: itself where it has no positive edge."""
    ends = [{b for a, b, weight in found if a == node and weight > 0} for node in range(size)]
    return [own or {node} for node, own in enumerate(ends)]


@settings(max_examples=200)
@given(st.integers(1, 70), st.integers(1, 9), RANKS, st.booleans(), SEEDS, EPOCHS)
def test_ranks_share_an_epoch_without_overlap(size, batch_size, world, drop_last, seed, epoch) -> None:
    def make(**ranks):
        return EpochSampler(size, batch_size, seed=seed, drop_last=drop_last, **ranks)

    if size < (batch_size * world if drop_last else world):
        with pytest.raises(DataError, match=f"has {size} samples, too few"):
            make(rank=world - 1, world_size=world)
        return
    batches = all_ranks(make, world, epoch)
    assert len(batches) == len(make(rank=world - 1, world_size=world))
    parts = [len(part.indices) for batch in batches for part in batch]
    assert min(parts) >= 1
    assert max(parts) <= batch_size + (not drop_last)
    assert all(len(part.indices) == batch_size for batch in batches[: None if drop_last else -1] for part in batch)
    assert all(part.epoch == epoch for batch in batches for part in batch)
    order = np.concatenate([put_together(batch) for batch in batches])
    assert len(set(order.tolist())) == len(order)
    assert set(order.tolist()) <= set(range(size))
    assert 0 <= size - len(order) < (batch_size * world if drop_last else 1)
    whole = epoch_of(EpochSampler(size, size, seed=seed), epoch)[0].indices  # nor does the order know of batches
    np.testing.assert_array_equal(order, whole[: len(order)])


@settings(max_examples=100)
@given(st.integers(20, 70), st.integers(1, 9), SEEDS, EPOCHS, EPOCHS)
def test_the_order_is_that_of_seed_and_epoch(size, batch_size, seed, epoch, other) -> None:
    """Whatever the sampler went through before."""
    assume(epoch != other)
    sampler = EpochSampler(size, batch_size, seed=seed)
    first, between, again = (np.concatenate([r.indices for r in epoch_of(sampler, e)]) for e in (epoch, other, epoch))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != between.tolist()
    next_seed = epoch_of(EpochSampler(size, batch_size, seed=seed + 1), epoch)
    assert first.tolist() != np.concatenate([request.indices for request in next_seed]).tolist()


@settings(max_examples=60)
@given(st.integers(4, 70), st.integers(1, 4), RANKS, st.booleans(), st.data())
def test_a_resumed_epoch_is_the_tail_of_the_whole_one(size, batch_size, world, drop_last, data) -> None:
    assume(size >= batch_size * world)
    ranks = {"rank": data.draw(st.integers(0, world - 1)), "world_size": world}
    sampler = EpochSampler(size, batch_size, seed=1, drop_last=drop_last, **ranks)
    whole = [request.indices.tolist() for request in epoch_of(sampler, 2)]
    batch = data.draw(st.integers(0, len(whole)))
    sampler.resume(2, batch)
    assert [request.indices.tolist() for request in sampler] == whole[batch:]
    assert [request.indices.tolist() for request in sampler] == whole


@st.composite
def compositions(draw):
    """Relations by components or by edges, and a batch of all ranks that has room for the share and its pairs."""
    world = draw(RANKS)
    batch = world * draw(st.integers(-(-3 // world), 8))
    pairs = draw(st.integers(1, (batch - 1) // 2))
    share = (2 * pairs + draw(st.floats(0, 0.9))) / batch
    size = draw(st.integers(max(4, batch), 60))
    if draw(st.booleans()):
        classes = draw(st.lists(st.integers(0, 12), min_size=size - 1, max_size=size - 1))
        return PairComposition(Cliques([*classes, classes[0]]), batch, share), world
    weights = {(0, 1): 1.0, **{(a, b): 1.0 for a, b, _ in draw(edges(size))}}
    found = relations(graph_of(size, [(a, b, weight) for (a, b), weight in weights.items()]))
    return PairComposition(found, batch, share), world


@settings(max_examples=150)
@given(compositions(), st.booleans(), SEEDS, EPOCHS)
def test_batches_hold_related_pairs_in_their_share(drawn, drop_last, seed, epoch) -> None:
    composition, world = drawn
    found, share = composition.relations, composition.share
    size, places = found.num_nodes, composition.batch_size
    count = 2 * composition.pairs

    def make(**ranks):
        return RelatedSampler(composition, seed=seed, drop_last=drop_last, **ranks)

    batches = all_ranks(make, world, epoch)
    wholes = [(put_together(parts), put_together(parts, "copies")) for parts in batches]
    for index, copies in wholes:
        pairs = index[len(index) - count :].reshape(-1, 2)
        assert found.related(pairs[:, 0], pairs[:, 1]).all()
        assert len({frozenset(pair) for pair in pairs.tolist()}) == composition.pairs
        np.testing.assert_array_equal(copies > 0, np.arange(len(index)) >= len(index) - count)
    full = wholes if drop_last else wholes[:-1]
    assert all(len(index) == places for index, _ in full)
    assert all(len(part.indices) == places // world for parts in batches[: len(full)] for part in parts)
    if found.num_pairs >= places:  # enough of them, so the share is had to the nearest pair
        assert abs(count - share * places) <= 1
    order = np.concatenate([index[: len(index) - count] for index, _ in wholes])
    np.testing.assert_array_equal(order, epoch_of(EpochSampler(size, size, seed=seed), epoch)[0].indices[: len(order)])
    assert 0 <= size - len(order) < (composition.uniform if drop_last else 1)
    numbers = np.concatenate([copies[len(copies) - count :] for _, copies in wholes])
    assert len(set(numbers.tolist())) == len(numbers)


@settings(max_examples=60)
@given(st.integers(1, 3), SEEDS, EPOCHS)
def test_related_pairs_are_drawn_anew_by_seed_epoch_and_batch(world, seed, epoch) -> None:
    composition = PairComposition(Cliques(np.arange(60) % 2), 12, 0.7)  # 4 of 870 pairs

    def drawn(seed, epoch):
        ranks = [RelatedSampler(composition, seed=seed, world_size=world, rank=rank) for rank in range(world)]
        batches = zip(*(epoch_of(sampler, epoch) for sampler in ranks), strict=True)
        return [tuple(np.concatenate([part.indices[part.copies > 0] for part in batch])) for batch in batches]

    first = drawn(seed, epoch)  # of the ranks together: of one rank's few, two can well be the same
    assert first == drawn(seed, epoch)
    assert len({*first, *drawn(seed, epoch + 1), *drawn(seed + 1, epoch)}) == 3 * len(first)


@settings(max_examples=100)
@given(
    st.integers(1, 20).flatmap(lambda size: st.tuples(st.just(size), edges(size))),
    st.sampled_from(["uniform", "weighted", "nearest", "furthest"]),
    st.integers(2, 4),
    SEEDS,
    EPOCHS,
    st.data(),
)
def test_positives_are_edges_or_the_anchor_itself(drawn, draw, views, seed, epoch, data) -> None:
    size, found = drawn
    dataset, allowed = numbered(size), positives_of(size, found)
    graph = graph_of(size, found, dataset.manifest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # samples without edges
        pairs = PairDataset(dataset, [Policy(2, num_crops=views)], seed=seed, graph=graph, pair_batch=True, draw=draw)
    assert pairs.without_edges == sum(not any(a == node and w > 0 for a, _, w in found) for node in range(size))
    (request,) = epoch_of(EpochSampler(size, size, seed=seed), epoch)
    shown = pairs.samples(request)
    assert shown.shape == (size, views)
    np.testing.assert_array_equal(shown[:, 0], request.indices)
    assert all(sample in allowed[anchor] for anchor, *others in shown.tolist() for sample in others)
    some = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5)))  # in any batch the same
    by_anchor = shown[np.argsort(request.indices)]
    np.testing.assert_array_equal(pairs.samples(Request(epoch, some)), by_anchor[some])


@settings(max_examples=60)
@given(
    st.integers(4, 40).flatmap(lambda size: st.tuples(st.just(size), edges(size))),
    st.sampled_from(["graph", "relations", "nothing"]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
@pytest.mark.filterwarnings("ignore:.*have no positive edge")
def test_loaders_of_all_ranks_show_the_epoch_once(drawn, kind, world, drop_last, extra_views, epoch) -> None:
    """Views show the samples that the batch names, with their labels, and neighbours are the graph's."""
    size, found = drawn
    dataset, allowed = numbered(size), [{node} for node in range(size)]
    given_, batch_size, added = {}, max(1, min(5, size // world)), 0
    if kind == "graph":
        given_["graph"] = graph_of(size, found, dataset.manifest)
        allowed = positives_of(size, found)
    elif kind == "relations":
        known = Cliques(np.arange(size) // 2, manifest=dataset.manifest.reference())
        given_ |= {"relations": known, "related_share": 0.5}
        batch_size = 4
        added = 2 * PairComposition(known, batch_size * world, 0.5).pairs
        assume(size >= batch_size * world - added)
    anchors, batches = [], set()
    for rank in range(world):
        loader = pair_loader(
            dataset,
            [Policy(2, num_crops=2)],
            batch_size=batch_size,
            seed=3,
            pair_batch=True,
            extra_views=extra_views,
            rank=rank,
            world_size=world,
            drop_last=drop_last,
            **given_,
        )
        loader.batch_sampler.set_epoch(epoch)
        made = list(loader)
        batches.add(len(made))
        assert len(made) == len(loader)
        for index, views, targets in made:
            assert index.shape == targets.shape == (len(index), 4 if extra_views else 2)
            np.testing.assert_array_equal(targets, dataset.labels[index])
            for view, samples in zip(views, index.T, strict=True):
                shown = ((view + 0.5) * 255).round()
                assert torch.equal(shown, samples[:, None, None, None].expand_as(view).float())
            assert all(sample in allowed[own[0]] for own in index.tolist() for sample in own[1:2])
            assert torch.equal(index, index[:, :2].repeat(1, 2 if extra_views else 1))
            anchors += index[:, 0].tolist()
    (number,) = batches
    once = len(anchors) - number * added
    times = np.bincount(anchors, minlength=size)
    assert 0 <= size - once < (batch_size * world - added if drop_last else 1)
    assert (times <= 1).all() if not added else (times >= 1).sum() >= once
