"""Batches composed along known relations: what is in them, how often, and what their importance weights make of it."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pal_plugin.data import EpochSampler, PairComposition, Policy, RelatedSampler, load_digits, pair_loader
from pal_plugin.data.related import _distinct
from pal_plugin.errors import ConfigError, DataError, GraphError, ManifestError
from pal_plugin.graph import Cliques, SimilarityGraph, relations
from pal_plugin.losses import PairImportance, graph_byol_loss, graph_spectral_loss

pytestmark = pytest.mark.filterwarnings("error")

PLAIN = Policy.from_config({"crop_size": 8, "num_crops": 2})
STRONG = Policy.from_config(
    {
        "crop_size": 8,
        "num_crops": 2,
        "rrc": {"enabled": True, "crop_min_scale": 0.08, "crop_max_scale": 1.0},
        "color_jitter": {"prob": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
        "horizontal_flip": {"prob": 0.5},
    }
)
# Five samples: a triple and a pair; a star with a sample that nobody knows; one relation.
TRIPLE_AND_PAIR = Cliques([0, 0, 0, 1, 1])
STAR = relations(SimilarityGraph.from_edges(5, [0, 0, 2], [1, 2, 3]))
ONE = Cliques([0, 1, 2, 3, 0])


@pytest.fixture(scope="module")
def digits():
    return load_digits("train").subset(200, 0)


def known(dataset, share=0.3):
    """Cliques of the classes of some samples, as an oracle's graph of chains."""
    rng = np.random.default_rng(0)
    asked = rng.permutation(len(dataset))[: int(share * len(dataset))]
    chains = [asked[dataset.labels[asked] == label] for label in np.unique(dataset.labels)]
    rows, columns = np.concatenate([c[:-1] for c in chains]), np.concatenate([c[1:] for c in chains])
    builder = {"name": "test", "parameters": {}, "transitive": True}
    return relations(
        SimilarityGraph.from_edges(len(dataset), rows, columns, manifest=dataset.manifest, builder=builder)
    )


def requests_of(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return list(sampler)


def epoch_of(loader, epoch=0):
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def assert_equal(left, right):
    """Batches are the same to the last bit."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for x, y in zip([a[0], *a[1], a[2]], [b[0], *b[1], b[2]], strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize(
    ("batch_size", "share", "pairs"), [(256, 0.25, 32), (10, 0.25, 1), (8, 0.25, 1), (9, 0.9, 4), (64, 0.0, 0)]
)
def test_what_a_batch_is_made_of(batch_size, share, pairs):
    composition = PairComposition(Cliques(np.arange(600) // 2), batch_size, share)
    assert (composition.pairs, composition.uniform) == (pairs, batch_size - 2 * pairs)


def test_no_more_pairs_than_there_are():
    composition = PairComposition(TRIPLE_AND_PAIR, 100, 0.5)
    assert (composition.pairs, composition.uniform) == (4, 92)


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(ConfigError, match=rf"is {share}\. Set related_share in \[0, 1\)"):
        PairComposition(ONE, 64, share)


def test_batches_and_relations_that_do_not_fit_the_share():
    with pytest.raises(ConfigError, match=r"batch of 7 is less than one related pair. Set a batch size of 8 or more"):
        PairComposition(ONE, 7, 0.25)
    with pytest.raises(ConfigError, match=r"A share of 0\.9 of a batch of 4 leaves no room"):
        PairComposition(TRIPLE_AND_PAIR, 4, 0.9)
    with pytest.raises(GraphError, match=r"No two samples are known to be related.*related_share=0"):
        PairComposition(Cliques(np.arange(9)), 64, 0.25)
    assert PairComposition(Cliques(np.arange(9)), 4, 0.0).pairs == 0


def test_every_set_of_pairs_is_as_likely_as_any_other():
    """All equal cells of the unit cube, each once: 3 · 4 · 5 outcomes for the 10 sets of 3 out of 5."""
    cells = [[(k + 0.5) / n for k in range(n)] for n in (3, 4, 5)]
    counts = Counter(frozenset(_distinct(np.array(u), 5).tolist()) for u in itertools.product(*cells))
    assert counts == {frozenset(chosen): 6 for chosen in itertools.combinations(range(5), 3)}


def every_batch(composition, uniform):
    """All batches that are as likely as each other: places with samples, uniform ones first."""
    size, found = composition.relations.num_nodes, composition.relations
    pairs = found.pairs(np.arange(found.num_pairs))
    for samples in itertools.combinations(range(size), uniform):
        for numbers in itertools.combinations(range(found.num_pairs), composition.pairs):
            yield np.array([*samples, *pairs[list(numbers)].reshape(-1)], dtype=np.int64)


@pytest.mark.parametrize("found", [TRIPLE_AND_PAIR, STAR, ONE])
@pytest.mark.parametrize(
    ("batch_size", "share", "uniform"), [(6, 0.6, None), (4, 0.5, None), (6, 0.6, 3), (4, 0, None)]
)
def test_importance_makes_every_batch_an_unbiased_estimate(found, batch_size, share, uniform):
    """A full batch, and one that has more samples left over than others (`uniform`)."""
    composition = PairComposition(found, batch_size, share)
    f = np.random.default_rng(0).standard_normal((5, 5))
    seen, sums = [], []
    for index in every_batch(composition, uniform or composition.uniform):
        weights = composition.importance(index)
        same = index[:, None] == index
        np.testing.assert_array_equal(weights[same & ~np.eye(len(index), dtype=bool)], 0)
        np.testing.assert_allclose(weights, weights.T, rtol=1e-14)
        assert (weights[~same] > 0).all()
        seen.append(np.bincount(np.ravel_multi_index((*np.ix_(index, index),), (5, 5)).ravel(), weights.ravel(), 25))
        sums.append((weights * f[np.ix_(index, index)]).sum())
    np.testing.assert_allclose(np.mean(seen, axis=0), 1, rtol=1e-12)  # every pair and every sample counts once
    assert np.mean(sums) == pytest.approx(f.sum(), rel=1e-12)


def batch_graph(related, known, index, alpha):
    """(1 − α)·G_ssl + α·G_sup among the two views of the samples `index`, as PAL has it."""
    same = index[:, None] == index
    graph = (1 - alpha) * same + alpha * (related[np.ix_(index, index)] | (same & known[index]))
    return torch.from_numpy(np.tile(graph, (2, 2)))


@pytest.mark.parametrize("found", [TRIPLE_AND_PAIR, STAR])
@pytest.mark.parametrize("loss", ["spectral", "byol"])
def test_the_expected_loss_over_batches_is_the_full_loss(found, loss):
    composition = PairComposition(found, 6, 0.6)
    nodes = np.arange(5)
    related = found.related(nodes[:, None], nodes)
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 2, 5, 3)))  # what, view, sample
    everything = batch_graph(related, found.known, nodes, 0.9)
    counted = everything.clone().fill_diagonal_(0)
    if loss == "byol":
        counted[:5, :5] = counted[5:, 5:] = 0

    def value(index, importance=None):
        z, target = rows[:, :, index].flatten(1, 2)
        graph = batch_graph(related, found.known, index, 0.9)
        if loss == "spectral":
            return graph_spectral_loss(z, graph, importance=importance).item()
        return graph_byol_loss(z, target, graph, importance=importance).item()

    def weighted(index):
        weights = torch.from_numpy(composition.importance(index)).repeat(2, 2)
        return value(index, PairImportance(weights, counted.sum().item(), 10 * 9))

    batches = list(every_batch(composition, composition.uniform))
    assert np.mean([weighted(index) for index in batches]) == pytest.approx(value(nodes), rel=1e-12)
    unweighted = np.mean([value(index) for index in batches])
    assert abs(unweighted - value(nodes)) > 1e-4 * abs(value(nodes)), "without weights the loss is biased"


def test_importance_over_the_sampler_itself():
    """Not the formula's own model of a batch, but the batches that a run would see."""
    found = relations(SimilarityGraph.from_edges(12, [0, 0, 2, 5, 7, 7], [1, 2, 3, 6, 8, 9]))
    sampler = RelatedSampler(PairComposition(found, 8, 0.5), seed=3, drop_last=False)
    f = np.random.default_rng(0).random((12, 12))
    sums = [
        (sampler.composition.importance(request.indices) * f[np.ix_(request.indices, request.indices)]).sum()
        for epoch in range(3000)
        for request in requests_of(sampler, epoch)
    ]
    error = np.std(sums) / np.sqrt(len(sums))
    assert error < 0.01 * f.sum()
    assert abs(np.mean(sums) - f.sum()) < 4 * error


@pytest.mark.parametrize(("length", "left"), [(3, 1), (2, 0), (9, 7)])
def test_importance_needs_batches_that_can_show_every_pair(length, left):
    composition = PairComposition(ONE, 8, 0.25)
    with pytest.raises(ConfigError, match=f"leaves {left} samples of 5 to be drawn"):
        composition.importance(np.zeros(length, dtype=np.int64))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_every_sample_once_an_epoch_and_related_pairs_in_every_batch(world_size, drop_last):
    found = Cliques(np.arange(90) // 3)
    composition = PairComposition(found, 16, 0.4)  # 10 samples and 3 pairs
    ranks = [
        RelatedSampler(composition, seed=1, rank=rank, world_size=world_size, drop_last=drop_last)
        for rank in range(world_size)
    ]
    single = RelatedSampler(composition, seed=1, drop_last=drop_last)
    order = {}
    for epoch in (0, 1):
        drawn, numbers = [], []
        whole = requests_of(single, epoch)
        parts = [requests_of(sampler, epoch) for sampler in ranks]
        assert {len(requests) for requests in parts} == {len(ranks[0])} == {9}
        for batch, together in enumerate(zip(*parts, strict=True)):
            index, copies = np.zeros(16, dtype=np.int64), np.zeros(16, dtype=np.int64)
            for rank, request in enumerate(together):
                assert request.epoch == epoch
                index[rank::world_size], copies[rank::world_size] = request.indices, request.copies
            np.testing.assert_array_equal(index, whole[batch].indices)
            np.testing.assert_array_equal(copies, whole[batch].copies)
            np.testing.assert_array_equal(copies > 0, np.arange(16) >= 10)
            pairs = index[10:].reshape(-1, 2)
            assert found.related(pairs[:, 0], pairs[:, 1]).all()
            assert len({tuple(sorted(pair)) for pair in pairs.tolist()}) == 3
            drawn.append(index[10:].tolist())
            numbers += copies[10:].tolist()
            order.setdefault(epoch, []).extend(index[:10].tolist())
        assert sorted(order[epoch]) == list(range(90))
        assert len(set(map(tuple, drawn))) == 9
        assert len(set(numbers)) == len(numbers)
    assert order[0] != order[1]
    plain = EpochSampler(90, 10, seed=1)
    assert np.concatenate([request.indices for request in requests_of(plain, 1)]).tolist() == order[1]


@pytest.mark.parametrize("size", [11, 20, 21, 22, 23, 29, 3])
@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_last_batch(size, world_size, drop_last):
    composition = PairComposition(Cliques(np.zeros(size, dtype=int)), 12, 0.34)  # 8 samples, 2 pairs

    def rank_of(rank):
        return requests_of(RelatedSampler(composition, seed=0, rank=rank, world_size=world_size, drop_last=drop_last))

    if size < (8 if drop_last else world_size):
        with pytest.raises(DataError, match=f"has {size} samples"):
            rank_of(0)
        return
    ranks = [rank_of(rank) for rank in range(world_size)]
    batches = [np.concatenate([request.indices for request in together]) for together in zip(*ranks, strict=True)]
    copies = [np.concatenate([request.copies for request in together]) for together in zip(*ranks, strict=True)]
    assert all(len(request.indices) for requests in ranks for request in requests)
    assert all((own > 0).sum() == 4 for own in copies)
    assert all(len(batch) == 12 for batch in (batches if drop_last else batches[:-1]))
    seen = np.concatenate([batch[own == 0] for batch, own in zip(batches, copies, strict=True)])
    assert len(seen) == len(set(seen.tolist())) == (size // 8 * 8 if drop_last else size)


def test_a_batch_that_ranks_cannot_share():
    with pytest.raises(ConfigError, match="batch of 16 cannot be shared by 3 processes"):
        RelatedSampler(PairComposition(ONE, 16, 0.25), seed=0, world_size=3)


def test_related_pairs_are_drawn_evenly():
    found = Cliques(np.arange(24) // 4)  # 36 pairs
    sampler = RelatedSampler(PairComposition(found, 16, 0.5), seed=0)
    drawn = [request.indices[8:] for epoch in range(600) for request in requests_of(sampler, epoch)]
    counts = Counter(tuple(sorted(pair)) for batch in drawn for pair in batch.reshape(-1, 2).tolist())
    assert len(counts) == 36
    expected = 600 * 3 * 4 / 36
    assert max(abs(count - expected) for count in counts.values()) < 4.5 * np.sqrt(expected)


def test_no_pairs_is_the_plain_sampler():
    found = Cliques([0, *range(49)])
    plain, composed = EpochSampler(50, 8, seed=2), RelatedSampler(PairComposition(found, 8, 0.0), seed=2)
    for left, right in zip(requests_of(plain, 3), requests_of(composed, 3), strict=True):
        np.testing.assert_array_equal(left.indices, right.indices)
        assert not right.copies.any()


def test_the_batches_are_frozen():
    """Others would change every run that was ever made."""
    sampler = RelatedSampler(PairComposition(Cliques(np.arange(20) // 2), 8, 0.5), seed=1)
    request = requests_of(sampler, 2)[1]
    assert request.indices.tolist() == [2, 12, 4, 19, 2, 3, 10, 11]
    assert request.copies.tolist() == [0, 0, 0, 0, 5, 6, 7, 8]
    plain = requests_of(EpochSampler(20, 4, seed=1), 2)[1]
    assert plain.indices.tolist() == request.indices[:4].tolist()
    assert plain.copies is None


def test_shapes_and_the_composition(digits):
    found = known(digits)
    settings = {"batch_size": 32, "seed": 0, "pair_batch": True}
    loader = pair_loader(digits, [PLAIN], relations=found, related_share=0.25, **settings)
    composition = loader.batch_sampler.composition
    assert (composition.pairs, composition.uniform, len(loader)) == (4, 24, 8)
    for index, views, targets in loader:
        assert index.shape == targets.shape == (32, 2)
        assert torch.equal(index[:, 0], index[:, 1])
        assert torch.equal(targets, torch.from_numpy(digits.labels)[index])
        assert [view.shape for view in views] == [(32, 3, 8, 8)] * 2
    two = pair_loader(digits, [PLAIN], relations=found, related_share=0.25, world_size=2, rank=1, **settings)
    assert (two.batch_sampler.composition.pairs, two.batch_sampler.composition.batch_size) == (8, 64)
    assert len(next(iter(two))[0]) == 32
    for plain in (pair_loader(digits, [PLAIN], **settings), pair_loader(digits, [PLAIN], relations=found, **settings)):
        assert plain.batch_sampler.composition is None
        assert_equal(list(plain), list(pair_loader(digits, [PLAIN], **settings)))


def test_samples_look_as_they_do_without_relations_and_copies_anew(digits):
    settings = {"batch_size": 50, "seed": 4, "drop_last": False}
    plain = pair_loader(digits, [STRONG], **settings)
    composed = pair_loader(digits, [STRONG], relations=known(digits), related_share=0.4, **settings)
    first = {}
    for index, views, _ in epoch_of(plain, 1):
        first |= {sample: torch.stack([view[row] for view in views]) for row, sample in enumerate(index.tolist())}
    looks = []
    for request, (index, views, _) in zip(requests_of(composed.batch_sampler, 1), epoch_of(composed, 1), strict=True):
        assert index.tolist() == request.indices.tolist()
        for row, (sample, copy) in enumerate(zip(request.indices.tolist(), request.copies, strict=True)):
            look = torch.stack([view[row] for view in views])
            if copy == 0:
                assert (look - first[sample]).abs().max() < 1e-5
            else:
                looks.append((sample, look))
    assert len(looks) > 100
    for number, (sample, look) in enumerate(looks):
        others = [first[sample], *(other for same, other in looks[:number] if same == sample)]
        assert all((look - other).abs().max() > 1e-2 for other in others)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # one core
def test_workers_change_nothing(digits, workers):
    settings = {"batch_size": 32, "seed": 5, "relations": known(digits), "related_share": 0.25, "pair_batch": True}
    alone = pair_loader(digits, [STRONG], **settings)
    many = pair_loader(digits, [STRONG], num_workers=workers, **settings)
    for epoch in (0, 1):
        assert_equal(epoch_of(alone, epoch), epoch_of(many, epoch))


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_is_the_tail_of_the_epoch(digits, workers):
    settings = {"relations": known(digits), "related_share": 0.25, "num_workers": workers}
    whole = epoch_of(pair_loader(digits, [STRONG], batch_size=32, seed=2, **settings), 3)
    resumed = pair_loader(digits, [STRONG], batch_size=32, seed=2, **settings)
    resumed.batch_sampler.resume(3, 5)
    assert_equal(epoch_of(resumed, 3), whole[5:])
    assert_equal(epoch_of(resumed, 3), whole)


@pytest.mark.slow
def test_two_processes_share_what_one_would_see(digits, tmp_path):
    settings = {"seed": 3, "relations": known(digits), "related_share": 0.3, "drop_last": False, "pair_batch": True}
    job = (digits, [STRONG], {"batch_size": 15, **settings})
    (tmp_path / "loader.pkl").write_bytes(pickle.dumps(job))
    script = Path(__file__).with_name("rank_process.py")
    ranks = [subprocess.Popen([sys.executable, script, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    alone = pair_loader(digits, [STRONG], batch_size=30, **settings)
    for rank in (0, 1):
        for epoch, gathered in enumerate(torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True)):
            expected = epoch_of(alone, epoch)
            assert [len(batches) for batches in gathered] == [len(expected)] * 2
            for batch, *parts in zip(expected, *gathered, strict=True):
                for place, part in enumerate(parts):
                    assert torch.equal(part[0], batch[0][place::2])
                    assert torch.equal(part[2], batch[2][place::2])
                    for mine, whole in zip(part[1], batch[1], strict=True):
                        assert (mine - whole[place::2]).abs().max() < 1e-5


def test_graph_and_relations_are_not_for_one_loader(digits):
    n = np.arange(len(digits))
    graph = SimilarityGraph.from_edges(len(digits), n, np.roll(n, 1), manifest=digits.manifest)
    with pytest.raises(ConfigError, match=r"Both a graph.*and relations.*were given"):
        pair_loader(digits, [PLAIN], batch_size=32, seed=0, graph=graph, relations=relations(graph), related_share=0.5)
    with pytest.raises(ConfigError, match="no relations were given"):
        pair_loader(digits, [PLAIN], batch_size=32, seed=0, related_share=0.5)


def test_relations_of_another_data_set_are_refused(digits):
    other = load_digits("train").subset(200, 1)
    for share in (0.0, 0.25):
        with pytest.raises(ManifestError, match=r"The graph of relations indexes digits/train.*`pal graph pairs`"):
            pair_loader(other, [PLAIN], batch_size=32, seed=0, relations=known(digits), related_share=share)
    with pytest.raises(
        ManifestError, match=r"has 5 nodes, but digits/train has 200.*`pal graph pairs`, or graph=oracle"
    ):
        pair_loader(digits, [PLAIN], batch_size=32, seed=0, relations=STAR, related_share=0.25)
    bare = Cliques(np.arange(200) // 2)
    with pytest.warns(RuntimeWarning, match="does not say which data set") as caught:
        pair_loader(digits, [PLAIN], batch_size=32, seed=0, relations=bare, related_share=0.25)
    assert caught[0].filename == __file__


def test_a_batch_larger_than_the_data(digits):
    with pytest.raises(DataError, match="has 200 samples, too few for batches of 512"):
        pair_loader(digits, [PLAIN], batch_size=512, seed=0, relations=known(digits), related_share=0.25)
