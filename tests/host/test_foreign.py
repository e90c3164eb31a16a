"""Checkpoints of plain solo-learn: written by the classes of the solo-learn at hand, and in the other one's layout."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.host import host_info, load_backbone, load_checkpoint
from pal_plugin.host.aliases import release_aliases
from pal_plugin.host.checkpoint import make_backbone
from pal_plugin.host.config import parse_cfg
from pal_plugin.host.described import checked_config
from pal_plugin.host.solo import SOLO_METHODS

KIND = host_info().kind
RELEASE_ARGUMENTS: dict[str, Any] = {
    "encoder": "resnet18",
    "method": "simclr",
    "dataset": "cifar10",
    "crop_size": [32],
    "num_classes": 10,
    "backbone_args": {"cifar": True, "zero_init_residual": False},
}
MAIN_CONFIG: dict[str, Any] = {
    "method": "simclr",
    "backbone": {"name": "resnet18"},
    "data": {"dataset": "imagenet100", "train_path": "x", "num_classes": 100},
    "augmentations": [{"crop_size": 48, "num_crops": 2}],
    "wandb": {"enabled": False},
}


def network(kernel: int) -> nn.Module:
    """A ResNet-18 whose running statistics are not those of a fresh one."""
    torch.manual_seed(0)
    backbone = make_backbone(
        OmegaConf.create({"backbone": {"name": "resnet18", "stem": {3: "cifar", 7: "imagenet"}[kernel]}})
    )
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return backbone


def same_function(one: nn.Module, other: nn.Module) -> bool:
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        return torch.equal(one.eval()(x), other.eval()(x))


def lightning_file(backbone: nn.Module, name: str, path: Path, **more: Any) -> Path:
    """A checkpoint as Lightning writes it, its networks called as `name`."""
    state = {f"{name}.{key}": value for key, value in backbone.state_dict().items()}
    state |= {f"momentum_{name}.{key}": torch.zeros_like(value) for key, value in backbone.state_dict().items()}
    state |= {"classifier.weight": torch.zeros(10, 512), "projector.0.weight": torch.zeros(8, 512)}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9)
    content = {"epoch": 3, "global_step": 9, "pytorch-lightning_version": "1.4.7", "state_dict": state}
    content |= {"callbacks": {}, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": []}
    torch.save(content | more, path)
    return path


def released_method() -> Any:
    """The release's own SimCLR, without our adapter."""
    training = {"max_epochs": 2, "batch_size": 8, "optimizer": "sgd", "lars": False, "lr": 0.1, "weight_decay": 0.0}
    rates = {"classifier_lr": 0.1, "min_lr": 0.0, "warmup_start_lr": 0.0, "warmup_epochs": 0, "scheduler": "none"}
    rest = {"exclude_bias_n_norm": False, "accumulate_grad_batches": 1, "extra_optimizer_args": {}}
    crops = {"num_large_crops": 2, "num_small_crops": 0}
    head = {"proj_output_dim": 8, "proj_hidden_dim": 8, "temperature": 0.1}
    described = {key: copy.deepcopy(RELEASE_ARGUMENTS[key]) for key in ("encoder", "num_classes", "backbone_args")}
    return SOLO_METHODS["simclr"](**described, **training, **rates, **rest, **crops, **head)


def mains_method() -> tuple[Any, DictConfig]:
    """Main's own SimCLR and its config, without our adapter."""
    head = {"proj_output_dim": 8, "proj_hidden_dim": 8, "temperature": 0.1}
    optimizer = {"name": "sgd", "batch_size": 8, "lr": 0.1, "classifier_lr": 0.1, "weight_decay": 0.0}
    cfg = parse_cfg(
        OmegaConf.create(MAIN_CONFIG | {"name": "x", "method_kwargs": head, "optimizer": optimizer, "max_epochs": 2})
    )
    return SOLO_METHODS["simclr"](cfg), cfg


@pytest.fixture
def plain(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A checkpoint and `args.json` that the solo-learn at hand writes itself, and the network in it."""
    if KIND == "release":
        module, arguments = released_method(), Namespace(name="x", **RELEASE_ARGUMENTS)
        backbone = module.encoder
    else:
        module, arguments = mains_method()
        backbone = module.backbone
    with release_aliases():
        from solo.utils.checkpointer import Checkpointer

    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    writer = Checkpointer(arguments, logdir=tmp_path)
    writer.initial_setup(trainer)
    writer.save_args(trainer)
    writer.save(trainer)
    assert (writer.path / "args.json").is_file()
    return Path(writer.last_ckpt), backbone


def test_what_the_solo_learn_at_hand_writes(plain: tuple[Path, nn.Module]) -> None:
    backbone, cfg = load_backbone(plain[0])
    assert same_function(backbone, plain[1])
    expected = ("cifar", "cifar10", 32) if KIND == "release" else ("imagenet", "imagenet100", 48)
    assert (cfg.backbone.stem, cfg.data.dataset, cfg.augmentations[0].crop_size) == expected


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize(("name", "arguments"), [("encoder", RELEASE_ARGUMENTS), ("backbone", MAIN_CONFIG)])
@pytest.mark.parametrize("where", ["beside", "inside", "said"])
def test_both_layouts(name: str, arguments: dict[str, Any], kernel: int, where: str, tmp_path: Path) -> None:
    written = network(kernel)
    more = {"hyper_parameters": arguments} if where == "inside" else {}
    path = lightning_file(written, name, tmp_path / "x.ckpt", **more)
    if where == "beside":
        (tmp_path / "args.json").write_text(json.dumps(arguments))
    backbone, cfg = load_backbone(path, backbone="resnet18" if where == "said" else None)
    assert same_function(backbone, written)
    assert cfg.backbone.stem == {3: "cifar", 7: "imagenet"}[kernel]  # by the weights, whatever the data set was called
    if where != "said":
        assert cfg.augmentations[0].crop_size == {"encoder": 32, "backbone": 48}[name]
        assert cfg.data.dataset == {"encoder": "cifar10", "backbone": "imagenet100"}[name]


def test_a_stem_may_be_said(tmp_path: Path) -> None:
    path = lightning_file(network(7), "backbone", tmp_path / "x.ckpt")
    backbone, cfg = load_backbone(path, backbone="resnet18", stem="no_maxpool")
    assert isinstance(backbone.maxpool, nn.Identity)
    assert cfg.backbone.stem == "no_maxpool"


def test_a_transformer(tmp_path: Path) -> None:
    kwargs = {"img_size": 16, "patch_size": 4}
    written = make_backbone(OmegaConf.create({"backbone": {"name": "vit_tiny", "kwargs": kwargs}}))
    path = lightning_file(written, "encoder", tmp_path / "x.ckpt")
    arguments = RELEASE_ARGUMENTS | {"encoder": "vit_tiny", "backbone_args": {"cifar": True, **kwargs}}
    (tmp_path / "args.json").write_text(json.dumps(arguments))
    backbone, _ = load_backbone(path)
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(backbone.eval()(x), written.eval()(x))


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    path = lightning_file(network(3), "encoder", tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"does not say which architecture.*no args\.json.*--backbone resnet18"):
        load_backbone(path)
    with pytest.raises(ConfigError, match=r"no backbone 'resnet19'.*resnet18"):
        load_backbone(path, backbone="resnet19")
    with pytest.raises(CheckpointError, match=r"another architecture than its config's resnet50"):
        load_backbone(path, backbone="resnet50")
    with pytest.raises(CheckpointError, match=r"another architecture"):
        load_backbone(path, backbone="resnet18", stem="imagenet")
    (tmp_path / "args.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"args\.json is not JSON"):
        load_backbone(path)
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="holds no backbone"):
        load_backbone(tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"a,b\n1,2\n", b"\x93NUMPY\x01\x00", b"\x89PNG\r\n" + bytes(99), b"PK\x03\x04" + bytes(99), bytes(9)],
)
def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "features.npy"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"features\.npy cannot be read: it is no PyTorch checkpoint") as caught:
        load_checkpoint(file)
    assert caught.value.mend == "Name a model.ckpt or last.ckpt that pal train wrote"
    assert "weights_only" not in str(caught.value)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = lightning_file(network(3), "encoder", tmp_path / "x.ckpt", hyper_parameters=Namespace(encoder="resnet18"))
    with pytest.raises(CheckpointError, match=r"Namespace.*write its weights alone"):
        load_backbone(path)


@pytest.mark.parametrize("content", [{"weights": {}}, {"state_dict": [1]}, [1, 2]], ids=["no key", "list", "no dict"])
def test_a_file_without_a_state_dict_is_no_checkpoint(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt is not a checkpoint: it has no state_dict"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_a_leaf_that_no_config_has() -> None:
    with pytest.raises(CheckpointError, match=r"in the checkpoint x\.ckpt holds a Tensor"):
        checked_config({"optimizer": {"lr": torch.zeros(1)}}, "x.ckpt")
