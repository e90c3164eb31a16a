"""Frozen features: order, modes, precision and what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pal_plugin.data import load_dataset
from pal_plugin.errors import ConfigError, DeviceError, FeatureError
from pal_plugin.evaluation import encode
from pal_plugin.evaluation.source import from_checkpoint


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "test", subset=50)


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )
    layers[1].running_mean.normal_()
    layers[1].running_var.uniform_(0.5, 2)
    return layers


def by_hand(net, dataset):
    """One image at a time, normalised in numpy, the network's formula at its running statistics."""
    still = copy.deepcopy(net).eval()
    rows = []
    for image in dataset.images:
        x = (image.astype(np.float64) / 255 - np.array(dataset.mean)) / np.array(dataset.std)
        with torch.no_grad():
            rows.append(still.double()(torch.from_numpy(x).permute(2, 0, 1)[None])[0].numpy())
    return np.array(rows)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_equals_one_image_at_a_time(net, digits, batch_size):
    got = encode(net, digits, batch_size=batch_size, precision="float32")
    assert got.shape == (50, 32)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, by_hand(net, digits), rtol=1e-4, atol=1e-5)


def test_bf16_is_close_and_auto_is_one_of_the_two(net, digits):
    exact, rough, auto = (encode(net, digits, precision=p) for p in ("float32", "bf16", "auto"))
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()
    assert np.array_equal(auto, exact) or np.array_equal(auto, rough)


def test_the_network_is_left_as_it_was(net, digits):
    net.train()
    net[1].eval()  # a frozen BatchNorm inside a training network
    modes = [m.training for m in net.modules()]
    state = copy.deepcopy(net.state_dict())
    encode(net, digits)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert all(p.requires_grad and not p.is_inference() for p in net.parameters())


def test_modes_come_back_after_a_failure(digits):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("boom")

    net = Broken().train()
    with pytest.raises(RuntimeError, match="boom"):
        encode(net, digits)
    assert net.training


def test_images_are_resized_to_the_crop_size(digits):
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append(x.shape)
            return x.mean(dim=(2, 3))

    encode(Look(), digits, crop_size=16, batch_size=32)
    assert seen == [(32, 3, 16, 16), (18, 3, 16, 16)]


def test_bad_input_is_named(net, digits):
    with pytest.raises(ConfigError, match="float8"):
        encode(net, digits, precision="float8")
    with pytest.raises(FeatureError, match=r"\(50, 8, 6, 6\) for 50 images"):
        encode(net[0], digits)
    with pytest.raises(DeviceError, match="'nonsense'"):
        encode(net, digits, device="nonsense")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_asked_for_and_absent(net, digits):
    with pytest.raises(DeviceError, match=r"'cuda' was asked for.*device=cpu"):
        encode(net, digits, device="cuda")
    assert all(p.device.type == "cpu" for p in net.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees(net, digits):
    got = encode(net, digits, device="cuda", precision="float32")
    np.testing.assert_allclose(got, encode(net, digits, precision="float32"), rtol=1e-2, atol=1e-3)  # TF32 convolutions
    assert all(p.device.type == "cpu" for p in net.parameters())


def test_an_embedding_that_there_is_not(tmp_path):
    with pytest.raises(ConfigError, match=r"no embedding 'head'.*backbone, projector"):
        from_checkpoint(tmp_path / "x.ckpt", embedding="head")
