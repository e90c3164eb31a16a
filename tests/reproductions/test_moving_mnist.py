"""Moving-MNIST: clips against a loop, laws against counts, the model by its formula, readouts by brute force."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pal_plugin.errors import LossError
from reproductions.adassl.moving_mnist import banks, evaluate, pictures
from reproductions.adassl.moving_mnist.cells import PROFILES, Sizes
from reproductions.adassl.moving_mnist.generator import (
    CANVAS,
    DIGIT,
    FRAMES,
    Digits,
    Scenes,
    centres,
    clips,
    cut,
    draw,
    load_digits,
    render,
)
from reproductions.adassl.moving_mnist.network import make_model
from reproductions.adassl.moving_mnist.readouts import PENALTIES, energy_score, fitted, r2, unit
from reproductions.adassl.readouts import Sample

SIZES = PROFILES["debug"]._replace(fit=64, choose=32, test=32, queries=24, batch=8, steps=3)
LABELS = np.arange(10).repeat(3)


@pytest.fixture(scope="module")
def digits() -> dict[str, Digits]:
    return load_digits("digits", torch.device("cpu"))


def some(count: int, setting: str = "A", *, seed: int = 0, first: int = 0, futures: int = 0) -> Scenes:
    return draw(seed, "train", np.arange(first, first + count), LABELS, setting, futures)


# the generator


def slow_frame(image: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread every pixel of a digit over the four pixels of the canvas that it lies between."""
    canvas = np.zeros((CANVAS, CANVAS))
    for row, column in np.ndindex(image.shape):
        x, y = centre[0] - (DIGIT - 1) / 2 + column, centre[1] - (DIGIT - 1) / 2 + row
        for i, j in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
            if 0 <= i < CANVAS and 0 <= j < CANVAS:
                canvas[i, j] += image[row, column] * (1 - abs(y - i)) * (1 - abs(x - j))
    return canvas


def test_clips_are_those_of_a_loop_over_pixels() -> None:
    """Of digits at places between pixels, at whole ones, cut at an edge, and gone."""
    images = torch.rand(4, DIGIT, DIGIT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = np.array([3, 1, 4, 1])
    scenes = draw(0, "train", np.arange(6), labels, "A")
    velocity = np.vstack([scenes.velocity[:3], [[1.0, 0.0], [3.0, 2.5], [2.0, 1.0]]])
    after = np.vstack([scenes.after[:3], [[0.0, 2.0], [12.0, -9.0], [-1.5, 1.0]]])
    scenes = scenes._replace(velocity=velocity, after=after, centre=np.vstack([scenes.centre[:5], [[8.5, 9.5]]]))
    x, y, u = clips(Digits(images, labels), scenes)
    assert x.shape == y.shape == u.shape == (6, 1, 3, CANVAS, CANVAS)
    found = torch.cat([x, y, u], dim=2)[:, 0].numpy()
    for clip in range(6):
        place = scenes.centre[clip].copy()
        for frame in range(FRAMES):
            if frame:
                place += velocity[clip] if frame < 3 else after[clip]
            expected = slow_frame(images[scenes.identity[clip]].numpy(), place)
            np.testing.assert_allclose(found[clip, frame], expected, atol=1e-12)
    assert not found[4, -1].any()
    assert found[3, 0].sum() == pytest.approx(float(images[scenes.identity[3]].sum()))


def test_single_precision_moves_a_digit_by_nothing_that_is_seen() -> None:
    images, scenes = torch.rand(30, DIGIT, DIGIT), some(64)
    single, double = (clips(Digits(images.to(kind), LABELS), scenes) for kind in (torch.float32, torch.float64))
    for a, b in zip(single, double, strict=True):
        assert (a - b).abs().max() < 2e-5


def test_bilinear_is_what_grid_sample_does() -> None:
    images = torch.rand(5, DIGIT, DIGIT, dtype=torch.float64)
    places = torch.from_numpy(centres(some(5)))
    theta = torch.zeros(5, 9, 2, 3, dtype=torch.float64)
    theta[..., 0, 0] = theta[..., 1, 1] = (CANVAS - 1) / (DIGIT - 1)
    theta[..., 2] = ((CANVAS - 1) / 2 - places) * 2 / (DIGIT - 1)
    grid = F.affine_grid(theta.flatten(0, 1), [45, 1, CANVAS, CANVAS], align_corners=True)
    expected = F.grid_sample(images.repeat_interleave(9, 0)[:, None], grid, align_corners=True)
    torch.testing.assert_close(render(images, places).flatten(0, 1), expected[:, 0], atol=1e-9, rtol=0)


def test_a_clip_is_a_function_of_seed_purpose_and_number() -> None:
    one, part = some(8), some(3, first=5)
    for all_, few in zip(one, part, strict=True):
        np.testing.assert_array_equal(all_[5:], few)
    for other in (some(8, seed=1), draw(0, "test", np.arange(8), LABELS, "A")):
        assert not np.isclose(one.centre, other.centre).any()


def test_other_futures_share_their_past_and_the_law() -> None:
    past, futures = some(20_000), [some(20_000, futures=copy) for copy in (1, 2)]
    for other in futures:
        for name in ("identity", "label", "centre", "velocity"):
            np.testing.assert_array_equal(getattr(past, name), getattr(other, name))
        changed = (other.acceleration != 0) != (past.acceleration != 0)
        assert changed.any(axis=1).mean() == pytest.approx(0.5, abs=0.02)
        assert np.abs(np.corrcoef(other.acceleration.ravel(), past.acceleration.ravel())[0, 1]) < 0.02


def test_the_law_of_setting_a() -> None:
    scenes = some(200_000)
    assert scenes.centre.min() >= 8
    assert scenes.centre.max() <= 16
    assert scenes.velocity.min() >= 0
    assert scenes.velocity.max() <= 3
    for values, low, high in ((scenes.centre, 8, 16), (scenes.velocity, 0, 3)):
        np.testing.assert_allclose(values.mean(axis=0), (low + high) / 2, atol=0.02)
        np.testing.assert_allclose(values.std(axis=0), (high - low) / math.sqrt(12), atol=0.02)
    moved = scenes.acceleration != 0
    assert (moved.sum(axis=1) == 1).all()
    assert moved[:, 1].mean() == pytest.approx(0.5, abs=0.004)
    noise = (scenes.acceleration / (2 / 3 * scenes.velocity))[moved]
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert (noise**4).mean() == pytest.approx(3, abs=0.1)
    assert abs(np.corrcoef(noise, scenes.velocity[moved])[0, 1]) < 0.01


def test_in_setting_b_the_digit_says_which_axis() -> None:
    scenes = some(200_000, "B")
    vertical = scenes.acceleration[:, 1] != 0
    assert ((scenes.acceleration[:, 0] != 0) != vertical).all()
    for digit in range(10):
        share = vertical[scenes.label == digit].mean()
        assert share == pytest.approx(0.1 + 0.8 * digit / 9, abs=0.015)


def test_what_is_cut_is_said() -> None:
    """Against pixels: where a digit of ones lost some of its mass, and nowhere else."""
    scenes = some(4000)
    lost = render(torch.ones(4000, DIGIT, DIGIT), torch.from_numpy(centres(scenes)).float()).sum(dim=(2, 3)) < 255.99
    np.testing.assert_array_equal(cut(scenes), lost.numpy())
    shares = cut(some(200_000)).mean(axis=0)
    assert not shares[:3].any()  # x is never cut
    assert shares[3:6].mean() == pytest.approx(1.73e-4, abs=1e-4)  # the replication's count of its own clips
    assert 0.005 < shares[-1] < 0.02


def test_digits_are_split_by_identity(digits: dict[str, Digits]) -> None:
    sizes = {name: len(part.images) for name, part in digits.items()}
    assert sizes == {"train": 1197, "choose": 240, "test": 360}  # five sixths of 1437, as 50,000 are of 60,000
    for part in digits.values():
        assert part.images.shape[1:] == (DIGIT, DIGIT)
        assert part.images.min() >= -1e-6
        assert 0.9 < part.images.max() <= 1 + 1e-6
        assert len(part.labels) == len(part.images)


# the network


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((4, 3, 64, 64), "rank 4"),
        ((1, 3, 64, 64), "rank 4"),
        ((4, 3, 3, 64, 64), "channels 3 in place of 1"),
        ((4, 1, 9, 64, 64), "frames 9 in place of 3"),
        ((4, 1, 3, 65, 64), "height 65 in place of 64"),
        ((4, 1, 3, 64, 1), "width 1 in place of 64"),
        ((4, 3, 1, 64, 64), "channels 3 in place of 1, frames 1 in place of 3"),
    ],
)
def test_clips_of_another_shape(shape: tuple[int, ...], named: str) -> None:
    model = make_model("byol", SIZES, 0)
    with pytest.raises(LossError, match=named):
        model.encoder(torch.zeros(shape))
    with pytest.raises(LossError, match=r"rank 5.*uint8"):
        model.encoder(torch.zeros(4, 1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(LossError, match="1 sample"):
        model.train()(*torch.rand(3, 1, 1, 3, 64, 64))


def test_sizes_of_the_paper() -> None:
    """Parameter counts that the replication gives: 2,359,008 for an encoder, 407,560 more for V's heads."""
    v, byol = (make_model(method, Sizes(), 0) for method in ("v", "byol"))
    count = {id(model): sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (v, byol)}
    assert sum(p.numel() for p in v.encoder.parameters()) == 2_359_008
    assert count[id(v)] - count[id(byol)] == 407_560 - 128  # AdaSSL's editor mlp has no bias on its output
    assert v.encoder.embed(torch.rand(2, 1, 3, 64, 64)).backbone.shape == (2, 768)


def batch(count: int = 6) -> Tensor:
    return torch.rand(3, count, 1, 3, CANVAS, CANVAS, generator=torch.Generator().manual_seed(1))


def rng(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("method", ["byol", "v", "s"])
def test_the_loss_is_the_formula(method: str) -> None:
    model = make_model(method, SIZES, 0)
    other = copy.deepcopy(model)
    x, y, u = batch()
    loss, drawn = model(x, y, u, generator=rng())
    context, target = other.encoder(x), other.teacher(y)
    if method == "byol":
        predicted, penalty = other.predictor(context), torch.zeros(6)
    else:
        predicted, again = other.predict(context, other.encoder(u), rng())
        penalty = again.penalty.sum(dim=1)
        assert torch.equal(drawn.r, again.r)
    cosine = (F.normalize(predicted) * F.normalize(target)).sum(dim=1)
    expected = (2 - 2 * cosine).mean() + 2 * SIZES.beta * penalty.mean()
    torch.testing.assert_close(loss, expected)


def test_every_part_learns_and_the_teacher_follows() -> None:
    for method in ("byol", "v", "s"):
        model = make_model(method, SIZES, 0)
        before = copy.deepcopy(model)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
        for _ in range(2):  # the sparse editor's B begins at zero and lets nothing through in the first step
            model(*batch(), generator=rng())[0].backward()
            optimizer.step()
        still = [name for name, p in before.named_parameters() if torch.equal(p, model.get_parameter(name))]
        assert all(name.startswith("teacher.") for name in still), still
        assert all(p.grad is None for p in model.teacher.parameters())
        model.update_teacher()
        parts = (before.teacher, before.encoder, model.encoder, model.teacher)
        for old, _, online, new in zip(*(part.parameters() for part in parts), strict=True):
            torch.testing.assert_close(new, SIZES.momentum * old + (1 - SIZES.momentum) * online)


def test_methods_of_a_seed_begin_with_one_encoder_and_only_some_see_u() -> None:
    models = [make_model(method, SIZES, 5) for method in ("byol", "v", "s")]
    states = [model.encoder.state_dict() for model in models]
    assert all(torch.equal(states[0][key], state[key]) for state in states[1:] for key in state)
    x, y, u = batch()
    for model in models:
        losses = [copy.deepcopy(model)(x, y, later, generator=rng())[0] for later in (u, u.flip(0))]
        assert torch.equal(*losses) != model.has_posterior


# readouts


def test_energy_score_is_the_sum_over_draws() -> None:
    generator = np.random.default_rng(0)
    forecasts, truths = generator.standard_normal((5, 4, 2)), generator.standard_normal((3, 4, 2))
    for query, score in enumerate(energy_score(forecasts, truths)):
        off = [math.dist(f, s) for f in forecasts[:, query] for s in truths[:, query]]
        apart = [math.dist(*pair) for pair in itertools.permutations(forecasts[:, query], 2)]
        assert score == pytest.approx(sum(off) / 15 - sum(apart) / 20 / 2)
    single, copies = energy_score(forecasts[:1], truths), energy_score(forecasts[:1].repeat(30, 0), truths)
    np.testing.assert_allclose(single, copies, rtol=1e-12)  # BYOL's are copies of one


def test_no_forecast_is_better_than_the_law() -> None:
    generator = np.random.default_rng(0)
    truths = generator.standard_normal((400, 50, 2))
    scores = {
        scale: energy_score(scale * generator.standard_normal((400, 50, 2)), truths).mean() for scale in (0, 0.5, 1, 2)
    }
    assert min(scores, key=scores.__getitem__) == 1
    assert scores[1] == pytest.approx(math.sqrt(math.pi) / 2, abs=0.02)  # half of E‖Y − Y′‖ of two normal pairs


def test_the_law_scores_as_in_the_replication(digits: dict[str, Digits]) -> None:
    """.610 for the law and .797 for a velocity that stays, on 1024 clips of its own."""
    found = banks.Clips(digits, "A", SIZES._replace(queries=4096))
    scores = evaluate.energies(make_model("s", SIZES, 0), None, found)  # type: ignore[arg-type]  # it has no prior
    assert scores["law"] == pytest.approx(0.610, abs=0.03)
    assert scores["unchanged"] == pytest.approx(0.797, abs=0.03)
    assert set(scores) == {"law", "unchanged"}


def test_ridge_takes_the_penalty_that_is_best_where_it_may_look() -> None:
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((30, 2))

    def sample(count: int, noise: float) -> Sample:
        rows = generator.standard_normal((count, 30))
        return Sample(rows, rows @ weights + noise * generator.standard_normal((count, 2)))

    exact = [sample(count, 0) for count in (500, 100, 100)]
    assert r2(*exact) == pytest.approx(1, abs=1e-6)
    assert fitted(*exact[:2])[-1].alpha == PENALTIES[0]
    noisy = [sample(count, 20) for count in (40, 2000)]
    assert fitted(*noisy)[-1].alpha >= 100


def test_the_length_of_a_prediction_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = Sample(unit(torch.randn(200, 8, generator=generator).numpy()), np.random.default_rng(0).random((200, 2)))
    readout, predicted = fitted(targets, targets), torch.randn(3, 5, 8, generator=generator)
    shorter = evaluate.decoded(readout, predicted * torch.rand(3, 5, 1, generator=generator))
    np.testing.assert_allclose(shorter, evaluate.decoded(readout, predicted), atol=1e-5)
    assert shorter.shape == (3, 5, 2)


# reading a model


def test_readings_and_predictions_of_each_method(digits: dict[str, Digits]) -> None:
    of = banks.Clips(digits, "A", SIZES)
    for method in ("byol", "v", "s"):
        model = make_model(method, SIZES, 0)
        found = evaluate.banks(model, of)
        state = copy.deepcopy(model.state_dict())
        scores = evaluate.predictions(model, found, of)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
        assert scores == evaluate.predictions(model, found, of)
        assert set(scores["loss"]) == {
            "byol": {"posterior", "prior"}, "v": {"posterior", "shuffled", "prior"}, "s": {"posterior", "shuffled"},
        }[method]  # fmt: skip
        assert ("prior" in scores["energy"]) == (method != "s")
        assert set(scores["latent"]) == ({"predicted"} if method == "byol" else {"predicted", "r"})
        if method == "byol":
            assert scores["energy"]["prior"] == pytest.approx(scores["energy"]["mean"], abs=1e-3)
            assert scores["loss"]["prior"] == scores["loss"]["posterior"]
        assert ("kl" in scores["monitor"]) == (method == "v")
    readings = evaluate.readings(found)
    assert set(readings) == {"backbone", "projector"}
    assert 0 <= readings["backbone"]["digit"] <= 1


def test_readouts_find_what_embeddings_say(digits: dict[str, Digits]) -> None:
    """Of banks whose embeddings are the factors, all is read; of noise nothing."""
    of = banks.Clips(digits, "A", SIZES._replace(fit=600, choose=200, test=300))
    generator = torch.Generator().manual_seed(0)

    def bank(scenes: Scenes, *, known: bool) -> banks.Bank:
        label = F.one_hot(torch.from_numpy(scenes.label), 10)
        parts = [torch.from_numpy(rows) for rows in (scenes.centre, scenes.velocity, scenes.after)]
        x, y = torch.cat([label, *parts[:2]], 1).float(), torch.cat([label, parts[2]], 1).float()
        if not known:
            x, y = (torch.randn(rows.shape, generator=generator) for rows in (x, y))
        return banks.Bank(scenes, x, y, x, y, y, y)

    for known in (True, False):
        scores = evaluate.readings([bank(of.scenes[part], known=known) for part in evaluate.PARTS])["projector"]
        assert (scores["digit"] > 0.99) == known
        for name in ("position", "velocity_x", "velocity_y"):
            assert scores[name] == pytest.approx(float(known), abs=0.08)
        assert (scores["acceleration"] > 0.5) == known


def test_pictures_show_sources_truth_and_the_nearest_clips(digits: dict[str, Digits]) -> None:
    known = F.normalize(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    rows = np.array([4, 17, 30])
    np.testing.assert_array_equal(pictures.nearest(3 * known[rows], known), rows)
    of = banks.Clips(digits, "A", SIZES)
    sizes = {method: pictures.futures(make_model(method, SIZES, 0), of).shape for method in ("byol", "v", "s")}
    assert sizes["byol"] == sizes["s"]
    height, width, colours = sizes["v"]
    assert height == pictures.SOURCES * pictures.TILE + pictures.MARGIN
    assert width == (2 + pictures.DRAWS) * pictures.TILE + pictures.MARGIN
    assert colours == 3
    truth = pictures.futures(make_model("byol", SIZES, 1), of)[:, : pictures.TILE]
    np.testing.assert_array_equal(truth, pictures.futures(make_model("v", SIZES, 2), of)[:, : pictures.TILE])
