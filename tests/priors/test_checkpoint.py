"""Backbones as priors: at their own resolution and normalisation, ours and plain solo-learn's."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from pal_plugin.data import load_dataset
from pal_plugin.data.digits import load_digits
from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.evaluation import encode
from pal_plugin.host import load_backbone
from pal_plugin.host.checkpoint import make_backbone
from pal_plugin.launch import compose
from pal_plugin.priors import embed, make_prior, ready
from pal_plugin.train import train

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
SAFE = "precision=float32&device=cpu"


@pytest.fixture(autouse=True)
def one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return load_digits("test").subset(12, 0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    backbone = make_backbone(OmegaConf.create({"backbone": {"name": "resnet18", "stem": "cifar"}}))
    for name, buffer in backbone.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return backbone.eval()


def state(network, prefix):
    return {f"{prefix}.{key}": value for key, value in network.state_dict().items()}


@pytest.fixture
def ours(network, tmp_path):
    config = {
        "backbone": {"name": "resnet18", "stem": "cifar", "kwargs": {}},
        "data": {"dataset": "digits"},
        "augmentations": [{"crop_size": 8, "num_crops": 2}],
    }
    torch.save({"state_dict": state(network, "backbone"), "config": config}, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


@pytest.fixture
def released(network, tmp_path):
    """What plain solo-learn 1.0.2 leaves: `encoder.…` and `args.json`."""
    torch.save({"state_dict": state(network, "encoder"), "epoch": 3}, tmp_path / "simclr.ckpt")
    arguments = {"encoder": "resnet18", "dataset": "cifar10", "crop_size": [32], "backbone_args": {"cifar": True}}
    (tmp_path / "args.json").write_text(json.dumps(arguments))
    return tmp_path / "simclr.ckpt"


@torch.inference_mode()
def reference(network, images, side, mean, std):
    steps = [Resize(side, InterpolationMode.BICUBIC), CenterCrop(side), ToTensor(), Normalize(mean, std)]
    x = torch.stack([Compose(steps)(Image.fromarray(image)) for image in images])
    network = network.to(memory_format=torch.channels_last)
    return network(x.contiguous(memory_format=torch.channels_last)).numpy()


def test_ours_is_what_the_evaluation_encodes(ours, network, digits):
    found = embed(digits, make_prior(f"checkpoint:{ours}?{SAFE}")).features
    assert np.array_equal(found, reference(network, digits.images, 8, digits.mean, digits.std))
    backbone, _ = load_backbone(ours)
    assert np.allclose(found, encode(backbone, digits, precision="float32", crop_size=8), atol=1e-5)


def test_what_a_run_has_seen_is_normalised_as_it_was_also_where_data_sets_share_a_name(tmp_path):
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 150)):
        images = rng.integers(low, low + 100, (32, 8, 8, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", train_images=images)
    overrides = ["profile=debug", "data=arrays", f"data.root={tmp_path / 'dark.npz'}", "data.crop_size=8"]
    train(compose("simclr", [*overrides, "optimizer.batch_size=16", "max_steps=1", f"run_dir={tmp_path / 'run'}"]))
    dark, light = (load_dataset("arrays", "train", root=tmp_path / f"{name}.npz") for name in ("dark", "light"))
    assert light.mean[0] > 2 * dark.mean[0]
    network, _ = load_backbone(tmp_path / "run" / "model.ckpt")
    prior = ready(make_prior(f"checkpoint:{tmp_path / 'run' / 'model.ckpt'}?{SAFE}"), light)
    found = prior.embed(light.images[:4])
    expected = reference(network.eval(), light.images[:4], 8, dark.mean, dark.std)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_plain_solo_learns_has_its_own_resolution_and_normalisation(released, network, digits):
    prior = ready(make_prior(f"checkpoint:{released}?{SAFE}"), digits)
    assert np.array_equal(prior.embed(digits.images), reference(network, digits.images, 32, *CIFAR10))
    wide = [np.repeat(image, 2, axis=1) for image in digits.images[:3]] + [digits.images[3]]
    assert np.array_equal(prior.embed(wide), reference(network, wide, 32, *CIFAR10))
    assert "size=32" in prior.key
    assert "0.4914" in prior.key


def test_the_key_tells_weights_and_normalisation_but_not_the_place(ours, digits, network, tmp_path):
    key = ready(make_prior(f"checkpoint:{ours}?{SAFE}"), digits).key
    (tmp_path / "moved").mkdir()
    moved = ours.rename(tmp_path / "moved" / "other.ckpt")
    assert ready(make_prior(f"checkpoint:{moved}?{SAFE}"), digits).key == key
    given = f"checkpoint:{moved}?{SAFE}&mean=0,0,0&std=1,1,1&crop_size=16"
    assert ready(make_prior(given), digits).key != key
    assert np.array_equal(
        ready(make_prior(given), digits).embed(digits.images),
        reference(network, digits.images, 16, (0.0,) * 3, (1.0,) * 3),
    )
    content = torch.load(moved, weights_only=True)
    content["state_dict"]["backbone.conv1.weight"][0, 0, 0, 0] += 1
    torch.save(content, moved)
    assert ready(make_prior(f"checkpoint:{moved}?{SAFE}"), digits).key != key


def test_what_nothing_tells_has_to_be_said(ours, released, digits, tmp_path):
    elsewhere = dataclasses.replace(digits, name="photos")
    with pytest.raises(ConfigError, match="in the training of"):
        embed(elsewhere, make_prior(f"checkpoint:{ours}"))
    (tmp_path / "args.json").unlink()
    with pytest.raises(CheckpointError, match="does not say which architecture"):
        make_prior(f"checkpoint:{released}")
    with pytest.raises(ConfigError, match="crop_size=224"):
        make_prior(f"checkpoint:{released}?backbone=resnet18")
    with pytest.raises(ConfigError, match=r"mean=0\.485"):
        embed(digits, make_prior(f"checkpoint:{released}?backbone=resnet18&crop_size=32"))
    with pytest.raises(ConfigError, match="without the other"):
        make_prior(f"checkpoint:{released}?backbone=resnet18&crop_size=32&mean=0,0,0")
    with pytest.raises(ConfigError, match="one number a channel"):
        make_prior(f"checkpoint:{released}?backbone=resnet18&crop_size=32&mean=0,0&std=1,1,1")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        make_prior(f"checkpoint:{tmp_path / 'gone.ckpt'}")
