"""Every prior passes what third parties are asked to pass: networks with weights that nobody trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision

from pal_plugin.host.config import plain
from pal_plugin.launch import compose
from pal_plugin.testing import PriorConformance
from pal_plugin.train import build, export

TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.mark.parametrize("spec", ["pixels", "hog", "pca:8", "lite0", "python:conformant:colours"])
class TestPriors(PriorConformance):
    @pytest.fixture(autouse=True)
    def _spec(self, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spec = spec
        monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
        (tmp_path / "conformant.py").write_text(
            "import numpy as np\n\ndef colours(images):\n"
            "    return np.stack([image.mean(axis=(0, 1)) for image in images]).astype(np.float32)\n\n"
            "colours.key = 'mean colour'\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))

    def make(self):
        return self.spec


def timm_weights(folder: Path) -> str:
    torch.save(timm.create_model("test_resnet", pretrained=False, num_classes=7).state_dict(), folder / "weights.pth")
    return f"timm:test_resnet.r160_in1k?checkpoint={folder / 'weights.pth'}&device=cpu"


def torchvision_weights(folder: Path) -> str:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), folder / "weights.pth")
    return f"torchvision:resnet18/IMAGENET1K_V1?checkpoint={folder / 'weights.pth'}&device=cpu"


def clip_weights(folder: Path) -> str:
    open_clip = pytest.importorskip("open_clip")
    (folder / "tiny-for-conformance.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / "tiny-for-conformance.json")
    torch.save(open_clip.create_model("tiny-for-conformance").state_dict(), folder / "weights.pth")
    return f"open_clip:tiny-for-conformance?checkpoint={folder / 'weights.pth'}&device=cpu"


def own_weights(folder: Path) -> str:
    cfg = compose("simclr", ["profile=debug", "data.num_classes=10"])
    seen_as = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    export(build(cfg), {**plain(cfg), "normalisation": seen_as}, folder / "model.ckpt")
    return f"checkpoint:{folder / 'model.ckpt'}?device=cpu"


@pytest.fixture(scope="module", params=[timm_weights, torchvision_weights, clip_weights, own_weights])
def network_spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return request.param(tmp_path_factory.mktemp("weights"))


class TestNetworks(PriorConformance):
    @pytest.fixture(autouse=True)
    def _spec(self, network_spec: str) -> None:
        self.spec = network_spec

    def make(self):
        return self.spec
