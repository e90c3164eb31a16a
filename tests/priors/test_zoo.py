"""Networks of timm, torchvision and open_clip: the library's own features behind the library's own preprocessing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.priors import make_prior
from pal_plugin.priors.network import weights_digest

TIMM = ("test_resnet.r160_in1k", "test_vit.r160_in1k", "test_efficientnet.r160_in1k")


@pytest.fixture(autouse=True)
def one_thread():
    """The priors go core by core; the references wait for each other otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photos(*shapes):
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (5, 5, 3), dtype=np.uint8) for _ in shapes]
    large = [Image.fromarray(s).resize(shape, Image.Resampling.BICUBIC) for s, shape in zip(small, shapes, strict=True)]
    return [np.asarray(image) for image in large]


RAGGED = photos((32, 32), (400, 200), (70, 300), (160, 160), (9, 30))


def randomise(network):
    """Give BatchNorm something to do: fresh statistics would hide a network that is not in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network.eval()


def channels_last(images, transform):
    x = torch.stack([transform(Image.fromarray(image)) for image in images])
    return x.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def timm_file(tmp_path, request):
    network = randomise(timm.create_model(request.param, pretrained=False, num_classes=7))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return request.param, network, tmp_path / "weights.pth"


@pytest.mark.parametrize("timm_file", TIMM, indirect=True)
@torch.inference_mode()
def test_timm_gives_timms_features(timm_file):
    name, network, path = timm_file
    prior = make_prior(f"timm:{name}?checkpoint={path}&precision=float32&device=cpu")
    config = timm.data.resolve_data_config({}, model=network)
    x = channels_last(RAGGED, timm.data.create_transform(**config))
    assert x.shape[-1] == 160
    last = network.to(memory_format=torch.channels_last)
    expected = last.forward_head(last.forward_features(x), pre_logits=True).numpy()
    found = prior.embed(RAGGED)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert np.allclose(prior.embed(RAGGED[2:3]), expected[2:3], atol=1e-5)
    assert prior.name == f"timm:{name}"
    for part in (f"{config['mean'][0]:.3f}"[:5], "160", config["interpolation"], "float32"):
        assert part in prior.key


def captured(network, layer):
    """Return what reaches `layer`."""
    seen = []
    network.get_submodule(layer).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    return seen


@pytest.mark.parametrize(
    ("name", "weights", "layer", "dimensions"),
    [
        ("resnet18", "IMAGENET1K_V1", "fc", 512),
        ("mobilenet_v3_small", "IMAGENET1K_V1", "classifier.3", 1024),
        ("shufflenet_v2_x0_5", "IMAGENET1K_V1", "fc", 1024),
        ("regnet_y_400mf", "IMAGENET1K_V2", "fc", 440),
        ("googlenet", "IMAGENET1K_V1", "fc", 1024),
    ],
)
@torch.inference_mode()
def test_torchvision_gives_torchvisions_features(tmp_path, name, weights, layer, dimensions):
    builder = torchvision.models.get_model_builder(name)
    more = {"transform_input": True, "init_weights": False} if name == "googlenet" else {}  # as with published weights
    network = randomise(builder(weights=None, **more))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    spec = f"torchvision:{name}/{weights}?checkpoint={tmp_path / 'weights.pth'}&precision=float32&device=cpu"
    prior = make_prior(spec)
    transforms = torchvision.models.get_model_weights(name)[weights].transforms()
    before = captured(network, layer)
    network.to(memory_format=torch.channels_last)(channels_last(RAGGED, transforms))
    found = prior.embed(RAGGED)
    assert found.shape == (5, dimensions)
    assert np.array_equal(found, before[0].numpy())
    assert f"resize_size={transforms.resize_size}" in prior.key


@torch.inference_mode()
def test_squeezenet_ends_in_a_convolution(tmp_path):
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    prior = make_prior(f"torchvision:squeezenet1_1?checkpoint={tmp_path / 'w.pth'}&precision=float32&device=cpu")
    transforms = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    features = network.to(memory_format=torch.channels_last).features(channels_last(RAGGED, transforms))
    assert np.allclose(prior.embed(RAGGED), features.mean((2, 3)).numpy(), atol=1e-6)


TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def clip(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    (tmp_path / "tiny-for-tests.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(tmp_path / "tiny-for-tests.json")
    network, _, transform = open_clip.create_model_and_transforms("tiny-for-tests")
    torch.save(network.state_dict(), tmp_path / "clip.pt")
    return network.eval(), transform, tmp_path / "clip.pt"


@torch.inference_mode()
def test_open_clip_gives_open_clips_image_features(clip):
    network, transform, path = clip
    prior = make_prior(f"open_clip:tiny-for-tests?checkpoint={path}&precision=float32&device=cpu")
    expected = network.to(memory_format=torch.channels_last).encode_image(channels_last(RAGGED, transform))
    assert np.array_equal(prior.embed(RAGGED), expected.numpy())
    assert "Resize(size=48" in prior.key
    assert " at 0x" not in prior.key


def test_a_tag_of_open_clip_tells_the_preprocessing(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    network = open_clip.create_model("ViT-S-32-alt")
    torch.save(network.state_dict(), tmp_path / "clip.pt")
    known = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    assert known["mean"] == (0.5, 0.5, 0.5)
    plain = make_prior(f"open_clip:ViT-S-32-alt?checkpoint={tmp_path / 'clip.pt'}")
    assert "0.48145466" in plain.key
    with pytest.raises(ConfigError, match="no weights 'openai'"):
        make_prior(f"open_clip:ViT-S-32-alt/openai?checkpoint={tmp_path / 'clip.pt'}")


def test_the_key_tells_weights_network_preprocessing_and_precision(tmp_path):
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_small(weights=None)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "same.safetensors")
    network.features[0][0].weight.data[0, 0, 0, 0] += 1e-3
    torch.save(network.state_dict(), tmp_path / "b.pth")
    make = {
        "a": "torchvision:mobilenet_v3_small?checkpoint=a.pth&precision=float32",
        "b": "torchvision:mobilenet_v3_small?checkpoint=b.pth&precision=float32",
        "bfloat16": "torchvision:mobilenet_v3_small?checkpoint=a.pth&precision=bfloat16",
        "same": "torchvision:mobilenet_v3_small?checkpoint=same.safetensors&precision=float32",
    }
    keys = {
        name: make_prior(
            spec.replace("=a", f"={tmp_path}/a").replace("=b.", f"={tmp_path}/b.").replace("=same", f"={tmp_path}/same")
        ).key
        for name, spec in make.items()
    }
    assert keys["a"] == keys["same"]
    assert len({keys["a"], keys["b"], keys["bfloat16"]}) == 3
    network.classifier[3] = torch.nn.Identity()
    assert weights_digest(network) in keys["b"]


def test_weights_of_another_network_are_refused(tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    state = network.state_dict()
    files = {
        "nothing of it": {"x.weight": torch.zeros(3)},
        "one weight short": dict(list(state.items())[1:]),
        "one weight more": state | {"surprise": torch.zeros(2)},
        "another shape": state | {next(iter(state)): torch.zeros(3, 3)},
    }
    for content in files.values():
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(CheckpointError, match="another network"):
            make_prior(f"timm:test_resnet?checkpoint={tmp_path / 'w.pth'}")
    (tmp_path / "w.pth").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="cannot be read"):
        make_prior(f"timm:test_resnet?checkpoint={tmp_path / 'w.pth'}")
    with pytest.raises(CheckpointError, match="There are no weights"):
        make_prior(f"torchvision:resnet18?checkpoint={tmp_path / 'gone.pth'}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("timm:resnet81", "did you mean resnet18"),
        ("timm:resnet18.a1_in2k", "a1_in1k"),
        ("torchvision:resnet81", "resnet18"),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classifier"),
        ("torchvision:resnet50/IMAGENET1K_V9", "IMAGENET1K_V1"),
        ("timm:resnet18?device=tpu", "tpu"),
        ("torchvision:resnet18?precision=int8", "int8"),
    ],
)
def test_names_that_do_not_exist(spec, said):
    with pytest.raises(ConfigError, match=said):
        make_prior(spec)


def test_names_that_open_clip_does_not_have():
    pytest.importorskip("open_clip")
    for spec, said in {
        "open_clip:ViT-B-23": "ViT-B-32",
        "open_clip:ViT-B-32": "laion",
        "open_clip:ViT-B-32/x": "laion",
    }.items():
        with pytest.raises(ConfigError, match=said):
            make_prior(spec)


WITHOUT_NETWORK = """
import sys, time
import timm, torchvision, huggingface_hub
from pal_plugin.errors import DataError
from pal_plugin.priors import make_prior
for spec in sys.argv[1:]:
    begun = time.monotonic()
    try:
        make_prior(spec)
    except DataError as error:
        assert "\\n" not in str(error)
        print(f"{time.monotonic() - begun:.1f}|{error}")
"""


def test_weights_that_cannot_be_downloaded(tmp_path):
    nowhere = "http://127.0.0.1:9"  # nothing listens there: refused as on a machine that is cut off
    closed = {"HF_ENDPOINT": nowhere, "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "NO_PROXY": "", "no_proxy": ""}
    homes = {"HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch")}
    specs = ["timm:resnet18", "torchvision:resnet18", "timm:hf_hub:me/net"]
    command = [sys.executable, "-c", WITHOUT_NETWORK, *specs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=os.environ | closed | homes)
    said = [line.split("|", 1) for line in done.stdout.splitlines()]
    assert len(said) == 3, done.stderr
    for spec, (seconds, message) in zip(specs, said, strict=True):
        assert float(seconds) < 25  # the hub's client alone would try for 45 s
        assert f"The weights of the prior {spec} are not on this machine" in message
        assert f"{spec}?checkpoint=PATH" in message
        for offline in ("lite0", "hog", "pixels", "pca:64", "checkpoint:PATH"):
            assert offline in message
