"""The SGD probe against solo-learn's own LinearModel, and fine-tuning."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from pal_plugin.data import Policy, load_dataset, pair_loader
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation import encode
from pal_plugin.evaluation.sgd import Place, Recipe, fit_heads, fit_network
from pal_plugin.host import host_info
from pal_plugin.host.solo import SOLO_METHODS

PLACE = Place(precision="float32")
RECIPE = Recipe(epochs=5, batch_size=64)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "train", subset=200)


class Small(nn.Sequential):
    """A network with BatchNorm and dropout, and the attribute by which solo-learn finds its width."""

    inplanes = 32

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Small()


def solo_linear(backbone, recipe, rate, schedule):
    """solo-learn's own probe, of the release or of main."""
    if host_info().kind == "release":
        arguments = {"max_epochs": recipe.epochs, "batch_size": 64, "optimizer": "sgd", "lars": False, "lr": rate}
        rest = {"weight_decay": recipe.weight_decay, "exclude_bias_n_norm": False, "lr_decay_steps": [3, 4]}
        extra = {"extra_optimizer_args": {"momentum": 0.9}, "scheduler": schedule}
        return SOLO_METHODS["linear"](backbone, 10, **arguments, **rest, **extra)
    cfg = {
        "data": {"num_classes": 10},
        "max_epochs": recipe.epochs,
        "optimizer": {"name": "sgd", "batch_size": 64, "lr": rate, "weight_decay": recipe.weight_decay},
        "scheduler": {"name": schedule, "lr_decay_steps": [3, 4]},
    }
    cfg["optimizer"]["kwargs"] = {"momentum": 0.9}
    cfg["performance"] = {"disable_channel_last": True}
    return SOLO_METHODS["linear"](backbone, OmegaConf.create(cfg))


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_equals_solo_learns_linear_model(net, digits, schedule):
    """The same crops, solo-learn's model, optimiser and schedule, its training loop written out."""
    if schedule == "cosine" and host_info().kind == "main":
        pytest.skip("main has no cosine schedule without warm-up; the release has")
    recipe = Recipe(epochs=5, batch_size=64, schedule=schedule, weight_decay=1e-4)
    (head,) = fit_heads(net, digits, [0.4], recipe, 3, PLACE)
    torch.manual_seed(3)
    model = solo_linear(copy.deepcopy(net), recipe, 0.4 * 64 / 256, schedule)
    (optimizer,), (scheduler,) = model.configure_optimizers()
    crop = {"enabled": True, "crop_min_scale": 0.08, "crop_max_scale": 1.0}
    policy = Policy.from_config({"crop_size": 8, "rrc": crop, "horizontal_flip": {"prob": 0.5}})
    loader = pair_loader(digits, [policy], batch_size=64, seed=3)
    for epoch in range(5):
        loader.batch_sampler.set_epoch(epoch)
        for index, (_, (view,), targets) in enumerate(loader):
            model.backbone.eval()
            shared = model.shared_step((view, targets), index)
            loss = shared["loss"] if isinstance(shared, dict) else shared[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    assert torch.equal(head.weight, model.classifier.weight)
    assert torch.equal(head.bias, model.classifier.bias)


def test_rates_do_not_know_of_each_other(net, digits):
    together = fit_heads(net, digits, [0.1, 1e39, 3.0], RECIPE, 0, PLACE)
    assert together[1] is None  # it diverged, and took none with it
    for rate, head in ((0.1, together[0]), (3.0, together[2])):
        (alone,) = fit_heads(net, digits, [rate], RECIPE, 0, PLACE)
        assert torch.equal(alone.weight, head.weight)


def test_the_backbone_and_the_global_generator_stay_as_they_were(net, digits):
    net.train()
    before, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    state = torch.get_rng_state()
    fit_heads(net, digits, [0.3], RECIPE, 0, PLACE)
    fit_network(net, digits, 0.05, RECIPE, 0, PLACE)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes


def test_seeds_repeat_and_differ(net, digits):
    one, again, other = (fit_heads(net, digits, [0.3], RECIPE, seed, PLACE)[0].weight for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    one, again, other = (fit_network(net, digits, 0.05, RECIPE, seed, PLACE)[1].weight for seed in (0, 0, 1))
    assert torch.equal(one, again)  # dropout included
    assert not torch.allclose(one, other)


def test_fine_tuning_trains_the_whole_network_and_beats_the_probe(net, digits):
    test = load_dataset("digits", "test")
    recipe = Recipe(epochs=30, batch_size=32, crop_min_scale=0.8, schedule="cosine")
    for parameter in net.parameters():
        parameter.requires_grad_(False)  # as a caller may have left it
    tuned = fit_network(net, digits, 0.4, recipe, 0, PLACE)
    (head,) = fit_heads(net, digits, [0.4], recipe, 0, PLACE)
    assert not tuned.training
    assert not torch.allclose(tuned[0][0].weight, net[0].weight)
    assert not torch.allclose(tuned[0][1].running_mean, net[1].running_mean)
    logits = encode(tuned, test, precision="float32")
    frozen = encode(net, test, precision="float32") @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    accuracy, probe = ((x.argmax(1) == test.labels).mean() for x in (logits, frozen))
    assert accuracy > probe > 0.2
    assert accuracy > 0.6


def test_a_diverged_network_is_none(net, digits):
    assert fit_network(net, digits, 1e30, Recipe(epochs=2, batch_size=64), 0, PLACE) is None


def test_images_are_shown_at_the_crop_size(digits):
    seen = set()

    class Look(nn.Module):
        def forward(self, x):
            seen.add(tuple(x.shape[2:]))
            return x.mean(dim=(2, 3))

    fit_heads(Look(), digits, [0.3], Recipe(epochs=1, batch_size=64), 0, Place(crop_size=12, precision="float32"))
    assert seen == {(12, 12)}


def test_bad_input_is_named(net, digits):
    with pytest.raises(ConfigError, match=r"'warmup'.*step, cosine"):
        Recipe(schedule="warmup")
    for wrong in ({"epochs": 0}, {"batch_size": 0}, {"weight_decay": -1.0}, {"weight_decay": float("nan")}):
        with pytest.raises(ConfigError, match="cannot train"):
            Recipe(**wrong)
    with pytest.raises(ConfigError, match="learning rate is -1"):
        fit_heads(net, digits, [0.1, -1.0], RECIPE, 0, PLACE)
    for share in (0.0, -1.0, 5.0, float("nan")):
        with pytest.raises(ConfigError, match="no share of an image"):
            Recipe(crop_min_scale=share)
    with pytest.raises(DataError, match="One image"):
        fit_network(net, digits.take(np.array([0])), 0.1, RECIPE, 0, PLACE)
