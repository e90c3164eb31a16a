from __future__ import annotations

import dataclasses
import warnings
from collections import Counter

import numpy as np
import pytest
import torch

from pal_plugin.data import (
    EpochSampler,
    PairDataset,
    Policy,
    Request,
    eval_loader,
    load_digits,
    pair_loader,
)
from pal_plugin.errors import CheckpointError, ConfigError, DataError, ManifestError
from pal_plugin.graph import SimilarityGraph

FLIP = Policy.from_config({"crop_size": 8, "num_crops": 2, "horizontal_flip": {"prob": 0.5}})
PLAIN = Policy.from_config({"crop_size": 8, "num_crops": 2})
STRONG = Policy.from_config(
    {
        "crop_size": 8,
        "num_crops": 2,
        "rrc": {"enabled": True, "crop_min_scale": 0.08, "crop_max_scale": 1.0},
        "color_jitter": {"prob": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
        "grayscale": {"prob": 0.2},
        "gaussian_blur": {"prob": 0.5},
        "solarization": {"prob": 0.2},
        "equalization": {"prob": 0.2},
        "horizontal_flip": {"prob": 0.5},
    }
)


@pytest.fixture(scope="module")
def digits():
    return load_digits("train")


def random_graph(dataset, degree=3, *, isolated=()) -> SimilarityGraph:
    n = len(dataset)
    rng = np.random.default_rng(0)
    rows = np.repeat(np.setdiff1d(np.arange(n), isolated), degree)
    cols = np.concatenate([rng.choice(n, degree, replace=False) for _ in range(len(rows) // degree)])
    return SimilarityGraph.from_edges(n, rows, cols, manifest=dataset.manifest)


def epoch_of(loader, epoch=0):
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def assert_equal(left, right):
    """Batches are the same to the last bit."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for x, y in zip([a[0], *a[1], a[2]], [b[0], *b[1], b[2]], strict=True):
            assert x.dtype == y.dtype
            assert torch.equal(x, y)


def test_shapes_and_types(digits):
    index, views, targets = next(iter(pair_loader(digits, [FLIP, STRONG], batch_size=5, seed=0)))
    assert index.shape == targets.shape == (5,)
    assert index.dtype == targets.dtype == torch.int64
    assert [view.shape for view in views] == [(5, 3, 8, 8)] * 4
    assert all(view.dtype == torch.float32 and view.is_contiguous() for view in views)
    index, views, targets = next(iter(pair_loader(digits, [FLIP], batch_size=5, seed=0, pair_batch=True)))
    assert index.shape == targets.shape == (5, 2)
    assert torch.equal(index[:, 0], index[:, 1])


@pytest.mark.parametrize("drop_last", [True, False])
def test_every_anchor_once_an_epoch_in_another_order(digits, drop_last):
    loader = pair_loader(digits, [PLAIN], batch_size=100, seed=0, drop_last=drop_last)
    first, second = (torch.cat([batch[0] for batch in epoch_of(loader, epoch)]) for epoch in (0, 1))
    assert len(loader) == len(epoch_of(loader)) == (14 if drop_last else 15)
    assert len(first) == len(first.unique()) == (1400 if drop_last else 1437)
    assert (first != second).any()
    for epoch, order in ((1, second), (0, first)):
        assert torch.equal(torch.cat([batch[0] for batch in epoch_of(loader, epoch)]), order)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing(digits, workers, request):
    """Nor does it matter that this process computes with two threads and a worker with one."""
    request.addfinalizer(lambda: torch.set_num_threads(1))
    torch.set_num_threads(2)
    part = digits.subset(200, 0)
    graph = random_graph(part)
    settings = {"batch_size": 32, "seed": 5, "graph": graph, "pair_batch": True}
    alone = pair_loader(part, [STRONG], **settings)
    many = pair_loader(part, [STRONG], num_workers=workers, **settings)
    for epoch in (0, 1):
        assert_equal(epoch_of(alone, epoch), epoch_of(many, epoch))


def test_a_sample_looks_the_same_in_any_batch(digits):
    part = digits.subset(60, 0)
    graph = random_graph(part)
    looks = []
    for batch_size, world_size in ((60, 1), (7, 1), (10, 3)):
        seen = {}
        for rank in range(world_size):
            settings = {"rank": rank, "world_size": world_size, "drop_last": False}
            loader = pair_loader(
                part, [STRONG], batch_size=batch_size, seed=0, graph=graph, pair_batch=True, **settings
            )
            for index, views, _ in epoch_of(loader, 3):
                for row, anchor in enumerate(index[:, 0].tolist()):
                    seen[anchor] = (index[row, 1].item(), torch.stack([view[row] for view in views]))
        looks.append(seen)
    for other in looks[1:]:
        assert {k: v[0] for k, v in other.items()} == {k: v[0] for k, v in looks[0].items()}
        worst = max((other[k][1] - looks[0][k][1]).abs().max() for k in other)
        assert worst < 1e-5


@pytest.mark.parametrize("size", [24, 25, 26, 31, 100, 3])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 4])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_share_an_epoch(size, world_size, batch_size, drop_last):
    def batches(rank, world_size, batch_size):
        sampler = EpochSampler(size, batch_size, seed=1, rank=rank, world_size=world_size, drop_last=drop_last)
        sampler.set_epoch(4)
        got = [request.indices for request in sampler]
        assert len(got) == len(sampler)
        return got

    if drop_last and size < world_size * batch_size:
        with pytest.raises(DataError, match=f"has {size} samples"):
            batches(0, world_size, batch_size)
        return
    ranks = [batches(rank, world_size, batch_size) for rank in range(world_size)]
    assert len({len(got) for got in ranks}) == 1, "a rank would wait for the others for ever"
    assert all(len(batch) for got in ranks for batch in got)
    seen = Counter(int(i) for got in ranks for batch in got for i in batch)
    assert max(seen.values()) == 1
    if drop_last:
        assert all(len(batch) == batch_size for got in ranks for batch in got)
        assert size - len(seen) < world_size * batch_size
    else:
        assert len(seen) == size
        assert all(len(batch) <= batch_size + 1 for got in ranks for batch in got)
    whole = batches(0, 1, world_size * batch_size)
    for number, together in enumerate(zip(*ranks, strict=True)):
        if number < len(ranks[0]) - 1:  # the last batch may take the rest
            assert set(np.concatenate(together)) == set(whole[number])


def test_fewer_samples_than_ranks():
    with pytest.raises(DataError, match="has 2 samples"):
        EpochSampler(2, 4, seed=0, world_size=3, drop_last=False)


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_is_the_tail_of_the_epoch(digits, workers):
    part = digits.subset(200, 0)
    graph = random_graph(part)

    def fresh():
        return pair_loader(part, [STRONG], batch_size=30, seed=2, graph=graph, pair_batch=True, num_workers=workers)

    whole = epoch_of(fresh(), 3)
    resumed = fresh()
    resumed.batch_sampler.resume(3, 4)
    assert len(resumed) == len(whole) == 6
    assert_equal(epoch_of(resumed, 3), whole[4:])
    assert_equal(epoch_of(resumed, 3), whole)
    assert_equal(epoch_of(resumed, 4), epoch_of(fresh(), 4))


def test_resume_waits_for_its_epoch_and_may_be_at_the_end():
    sampler = EpochSampler(100, 10, seed=0)
    sampler.resume(2, 10)
    assert list(sampler) == []
    sampler.resume(2, 9)
    sampler.set_epoch(1)
    assert len(list(sampler)) == 10
    sampler.set_epoch(2)
    assert len(list(sampler)) == 1
    with pytest.raises(CheckpointError, match="before batch 11 of epoch 2, but an epoch has 10"):
        sampler.resume(2, 11)


def test_targets_are_those_of_the_image_shown(digits):
    graph = random_graph(digits)
    mean, std = torch.tensor(digits.mean)[:, None, None], torch.tensor(digits.std)[:, None, None]
    pixels = torch.from_numpy(digits.images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(digits.labels)
    pairs = pair_loader(digits, [PLAIN], batch_size=64, seed=0, graph=graph, pair_batch=True)
    plain = pair_loader(digits, [PLAIN], batch_size=64, seed=0, graph=graph)
    related = set()
    for paired, unpaired in zip(epoch_of(pairs), epoch_of(plain), strict=True):
        index, views, targets = paired
        for v in range(2):
            shown = (views[v] * std + mean) * 255
            assert (shown - pixels[index[:, v]]).abs().max() < 1e-3
            assert torch.equal(targets[:, v], labels[index[:, v]])
            assert torch.equal(unpaired[1][v], views[v])
        assert torch.equal(unpaired[0], index[:, 0])
        assert torch.equal(unpaired[2], targets[:, 0])
        related |= {(a, b) for a, b in index.tolist()}
    assert all(b in graph.positives(a) for a, b in related)
    assert any(digits.labels[a] != digits.labels[b] for a, b in related)


def test_positives_are_uniform_and_views_and_epochs_independent(digits):
    part = digits.subset(300, 0)
    graph = random_graph(part, degree=4)
    policy = dataclasses.replace(PLAIN, num_crops=3)
    pairs = PairDataset(part, [policy], seed=0, graph=graph, pair_batch=True)
    sampler = EpochSampler(len(part), 300, seed=0)
    places = []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        (request,) = sampler
        drawn = pairs.samples(request)
        drawn = drawn[np.argsort(drawn[:, 0])]
        places.append([[list(graph.positives(a)).index(b) for b in (x, y)] for a, x, y in drawn])
    places = np.array(places)  # epoch, sample, view
    share = np.bincount(places.ravel(), minlength=4) / places.size
    assert np.abs(share - 0.25).max() < 0.015
    assert abs((places[..., 0] == places[..., 1]).mean() - 0.25) < 0.02
    assert abs((places[1:] == places[:-1]).mean() - 0.25) < 0.02


@pytest.mark.parametrize("draw", ["nearest", "furthest"])
def test_nearest_and_furthest_are_always_the_first_and_last_edge(digits, draw):
    part = digits.subset(100, 0)
    graph = random_graph(part, isolated=[7])
    policy = dataclasses.replace(PLAIN, num_crops=3)
    with pytest.warns(RuntimeWarning, match="1 of 100"):
        loader = pair_loader(part, [policy], batch_size=100, seed=0, graph=graph, pair_batch=True, draw=draw)
    for epoch in (0, 5):
        ((index, _, _),) = epoch_of(loader, epoch)
        for anchor, second, third in index.tolist():
            edges = graph.positives(anchor)
            expected = anchor if anchor == 7 else edges[0 if draw == "nearest" else -1]
            assert second == third == expected


def test_weighted_draws_follow_the_weights(digits):
    part = digits.subset(20, 0)
    n = np.arange(20)
    rows, weights = np.repeat(n, 3), np.tile([6.0, 3.0, 1.0], 20)
    graph = SimilarityGraph.from_edges(20, rows, (rows + np.tile([1, 2, 3], 20)) % 20, weights, manifest=part.manifest)
    pairs = PairDataset(part, [PLAIN], seed=0, graph=graph, pair_batch=True, draw="weighted")
    steps = np.concatenate([np.diff(pairs.samples(Request(epoch, n)), axis=1) % 20 for epoch in range(500)])
    np.testing.assert_allclose(np.bincount(steps.ravel())[1:] / steps.size, [0.6, 0.3, 0.1], atol=0.015)


def test_a_draw_that_does_not_exist(digits):
    with pytest.raises(ConfigError, match=r"no draw called 'nearst'.*did you mean nearest"):
        pair_loader(digits, [PLAIN], batch_size=10, seed=0, graph=random_graph(digits), draw="nearst")


def test_small_crops_come_last(digits):
    small = dataclasses.replace(PLAIN, crop_size=4, num_crops=6)
    loader = pair_loader(digits, [PLAIN, small], batch_size=10, seed=0, graph=random_graph(digits), pair_batch=True)
    index, views, targets = next(iter(loader))
    assert index.shape == targets.shape == (10, 8)
    assert [view.shape for view in views] == [(10, 3, 8, 8)] * 2 + [(10, 3, 4, 4)] * 6
    for policies in ([small, PLAIN], [PLAIN, small, PLAIN]):
        with pytest.raises(ConfigError, match=r"views of .*4, .*8 pixels, in this order.*largest crop_size first"):
            pair_loader(digits, policies, batch_size=10, seed=0)


def test_identity_graph_equals_no_graph(digits):
    part = digits.subset(300, 0)
    n = np.arange(len(part))
    loop = SimilarityGraph.from_edges(len(part), n, n, manifest=part.manifest)
    for pair_batch in (True, False):
        settings = {"batch_size": 128, "seed": 0, "pair_batch": pair_batch}
        assert_equal(
            epoch_of(pair_loader(part, [STRONG], graph=loop, **settings)),
            epoch_of(pair_loader(part, [STRONG], **settings)),
        )


def test_anchors_without_edges_are_paired_with_themselves_and_counted(digits):
    lonely = [3, 77, 1436]
    graph = random_graph(digits, isolated=lonely)
    with pytest.warns(RuntimeWarning, match="3 of 1437 samples have no positive edge") as caught:
        loader = pair_loader(digits, [PLAIN], batch_size=1437, seed=0, graph=graph, pair_batch=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert loader.dataset.without_edges == 3
    ((index, _, _),) = epoch_of(loader)
    alone = index[:, 0] == index[:, 1]
    assert set(lonely) <= set(index[alone, 0].tolist())
    assert alone.sum() < 10


def test_negative_edges_are_no_positives(digits):
    part = digits.subset(10, 0)
    n = np.arange(10)
    graph = SimilarityGraph.from_edges(10, n, (n + 1) % 10, -np.ones(10), manifest=part.manifest)
    with pytest.warns(RuntimeWarning, match="10 of 10"):
        assert PairDataset(part, [PLAIN], seed=0, graph=graph, pair_batch=True).without_edges == 10


def test_graph_of_another_data_set_is_refused(digits):
    graph = random_graph(digits.subset(500, 0))
    for other in (digits, digits.subset(500, 1), load_digits("test")):
        with pytest.raises(ManifestError, match="The graph indexes digits/train with 500"):
            pair_loader(other, [PLAIN], batch_size=10, seed=0, graph=graph)


def test_graph_without_a_manifest(digits):
    n = np.arange(10)
    graph = SimilarityGraph.from_edges(10, n, (n + 1) % 10)
    with pytest.raises(ManifestError, match=r"10 nodes, but digits/train has 1437"):
        pair_loader(digits, [PLAIN], batch_size=10, seed=0, graph=graph)
    with pytest.warns(RuntimeWarning, match="does not say which data set"):
        pair_loader(digits.subset(10, 0), [PLAIN], batch_size=10, seed=0, graph=graph)


def test_no_warning_where_all_is_well(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = pair_loader(digits, [PLAIN], batch_size=10, seed=0, graph=random_graph(digits))
    assert loader.dataset.without_edges == 0


def test_too_few_views(digits):
    single = dataclasses.replace(PLAIN, num_crops=1)
    with pytest.raises(ConfigError, match="1 views, too few for a pair"):
        pair_loader(digits, [single], batch_size=10, seed=0, graph=random_graph(digits))
    assert len(next(iter(pair_loader(digits, [single], batch_size=10, seed=0)))[1]) == 1
    with pytest.raises(ConfigError, match="0 views"):
        pair_loader(digits, [], batch_size=10, seed=0)


def test_unlabelled_samples_keep_minus_one(digits):
    bare = dataclasses.replace(digits, labels=np.full(len(digits), -1))
    loader = pair_loader(bare, [PLAIN], batch_size=100, seed=0, graph=random_graph(bare), pair_batch=True)
    assert (next(iter(loader))[2] == -1).all()


def test_eval_is_in_order_and_normalised(digits):
    x = torch.cat([images for images, _ in eval_loader(digits, 100)])
    assert x.shape == (1437, 3, 8, 8)
    assert abs(x.mean()) < 1e-4
    assert abs(x.std() - 1) < 1e-3
    expected = (digits.images / 255 - np.array(digits.mean)) / np.array(digits.std)
    np.testing.assert_allclose(x.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    pairs = list(eval_loader(digits, 100, num_workers=2))
    assert torch.equal(torch.cat([images for images, _ in pairs]), x)
    assert torch.equal(torch.cat([labels for _, labels in pairs]), torch.from_numpy(digits.labels))
    assert next(iter(eval_loader(digits, 10, crop_size=12)))[0].shape == (10, 3, 12, 12)


@pytest.mark.parametrize("size", [0, -1, 2.5, "16", None])
def test_batch_sizes_that_are_none(digits, size):
    for loader in (lambda: eval_loader(digits, size), lambda: pair_loader(digits, [PLAIN], batch_size=size, seed=0)):
        with pytest.raises(ConfigError, match=r"The batch size is .*whole number of at least 1"):
            loader()
    assert len(eval_loader(digits, np.int64(100))) == 15
