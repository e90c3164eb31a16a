"""Every method of the installed solo-learn trains under today's Lightning, through main's API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import ResNet18_Weights, resnet18

from pal_plugin.errors import ConfigError
from pal_plugin.host import METHODS, BaseMethod, BaseMomentumMethod, host_info, parse_cfg
from pal_plugin.host.online_knn import OnlineKNN
from pal_plugin.methods import find_method, method_names

RELEASE = [
    "barlow_twins",
    "byol",
    "deepclusterv2",
    "dino",
    "mocov2plus",
    "nnbyol",
    "nnclr",
    "nnsiam",
    "ressl",
    "simclr",
    "simsiam",
    "swav",
    "vicreg",
    "wmse",
]
MOMENTUM = [name for name in METHODS if issubclass(METHODS[name], BaseMomentumMethod)]
MakeConfig = Callable[..., DictConfig]


class Views(Dataset[Any]):
    """32 random images as `(index, [view, view], label)`."""

    def __init__(self, classes: int = 10) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Any:
        generator = torch.Generator().manual_seed(index)
        label = index % self.classes if self.classes else -1
        return index, [torch.randn(3, 8, 8, generator=generator) for _ in range(2)], label


def fit(
    module: LightningModule, *, steps: int = 2, max_epochs: int = 1, data: Dataset[Any] | None = None, **options: Any
) -> Trainer:
    trainer = Trainer(
        max_epochs=max_epochs,
        limit_train_batches=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    validation = DataLoader([(torch.randn(3, 8, 8), label) for label in range(4)], batch_size=2)
    trainer.fit(module, DataLoader(data or Views(), batch_size=8, drop_last=True), validation)
    return trainer


def test_the_methods_of_the_host_are_all_there() -> None:
    assert set(RELEASE) <= set(METHODS)
    if host_info().kind == "main":
        assert {"mae", "mocov3", "supcon", "vibcreg", "all4one"} <= set(METHODS)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_trains(
    method: str, precision: Any, make_config: MakeConfig, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # main's all4one writes into the working folder
    torch.manual_seed(0)
    module = METHODS[method](parse_cfg(make_config(method, knn_eval={"enabled": True})))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer = fit(module, precision=precision)
    after = module.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
    if method != "deepclusterv2":  # its first epoch has no assignments yet
        assert not torch.equal(
            before["backbone.layer4.0.conv1.weight" if method != "mae" else "backbone.cls_token"],
            after["backbone.layer4.0.conv1.weight" if method != "mae" else "backbone.cls_token"],
        )
    assert 0 <= trainer.callback_metrics["val_knn_acc1"] <= 100
    if method in MOMENTUM:
        assert not torch.equal(before["momentum_classifier.weight"], after["momentum_classifier.weight"])
        assert "train_momentum_class_loss" in trainer.callback_metrics
        teacher = "momentum_backbone.layer4.0.conv1.weight"
        assert not torch.equal(before[teacher], after[teacher])


@pytest.mark.parametrize("method", ["simclr", "byol", "dino"])
def test_unlabelled_images_leave_the_loss_finite(method: str, make_config: MakeConfig) -> None:
    module = METHODS[method](parse_cfg(make_config(method)))
    trainer = fit(module, data=Views(classes=0))
    assert trainer.callback_metrics["train_class_loss"] == 0
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())


@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_fewer_than_five_classes(method: str, make_config: MakeConfig) -> None:
    module = METHODS[method](parse_cfg(make_config(method, data={"num_classes": 4})))
    trainer = fit(module, data=Views(classes=4))
    assert trainer.callback_metrics["train_acc5"] == 100


@pytest.mark.parametrize("method", ["byol", "nnclr"])
def test_sync_batchnorm_conversion(method: str, make_config: MakeConfig) -> None:
    module = METHODS[method](parse_cfg(make_config(method)))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    assert isinstance(converted.backbone.bn1, nn.SyncBatchNorm)
    if method == "byol":
        assert all(a is not b for a, b in converted.momentum_pairs)
        assert isinstance(converted.momentum_backbone.bn1, nn.SyncBatchNorm)
    fit(converted)


def test_checkpoints_have_mains_names(make_config: MakeConfig) -> None:
    names = set(METHODS["byol"](parse_cfg(make_config("byol"))).state_dict())
    roots = {name.split(".")[0] for name in names}
    assert {"backbone", "momentum_backbone", "projector", "momentum_projector", "predictor", "classifier"} <= roots
    assert not roots & {"encoder", "momentum_encoder"}


@pytest.mark.parametrize(
    ("stem", "kernel", "padding", "pooled"),
    [("cifar", 3, 2, False), ("imagenet", 7, 3, True), ("no_maxpool", 7, 3, False)],
)
def test_stem(stem: str, kernel: int, padding: int, pooled: bool, make_config: MakeConfig) -> None:
    module = METHODS["byol"](parse_cfg(make_config("byol", backbone={"stem": stem})))
    for backbone in (module.backbone, module.momentum_backbone):
        assert backbone.conv1.kernel_size == (kernel, kernel)
        assert backbone.conv1.padding == (padding, padding)
        assert isinstance(backbone.maxpool, nn.MaxPool2d) == pooled
    assert torch.equal(module.backbone.conv1.weight, module.momentum_backbone.conv1.weight)


def test_the_stem_follows_the_data_sets_name(make_config: MakeConfig) -> None:
    auto = {"stem": "auto"}
    cifar = METHODS["simclr"](parse_cfg(make_config("simclr", backbone=auto, data={"dataset": "cifar10"})))
    other = METHODS["simclr"](parse_cfg(make_config("simclr", backbone=auto)))
    assert cifar.backbone.conv1.kernel_size == (3, 3)
    assert other.backbone.conv1.kernel_size == (7, 7)


@pytest.mark.parametrize(("stem", "dataset", "kept"), [("imagenet", "digits", True), ("cifar", "digits", False)])
@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_a_pretrained_first_convolution_is_kept(
    method: str,
    stem: str,
    dataset: str,
    kept: bool,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights as torchvision downloads them, in the folder where it looks for them first."""
    weights = resnet18().state_dict()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    file.parent.mkdir(parents=True)
    torch.save(weights, file)
    backbone = {"stem": stem, "kwargs": {"weights": "IMAGENET1K_V1"}}
    module = METHODS[method](parse_cfg(make_config(method, backbone=backbone, data={"dataset": dataset})))
    for network in [module.backbone, *([module.momentum_backbone] if method in MOMENTUM else [])]:
        assert torch.equal(network.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])
        assert (network.conv1.kernel_size == (7, 7)) == kept
        assert torch.equal(network.conv1.weight, weights["conv1.weight"]) if kept else True


def test_a_stem_over_solo_learns_own(make_config: MakeConfig) -> None:
    """CIFAR's, which main puts there by the data set's name, is replaced in a pretrained network, too."""
    cfg = parse_cfg(make_config("simclr", backbone={"stem": "imagenet"}, data={"dataset": "cifar10"}))
    assert METHODS["simclr"](cfg).backbone.conv1.kernel_size == (7, 7)


def test_backbone_arguments_that_there_are_not(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"simclr with resnet18 cannot be built.*'foo'.*Correct backbone\.kwargs"):
        METHODS["simclr"](parse_cfg(make_config("simclr", backbone={"kwargs": {"foo": 1}})))


class Rates(Callback):
    """Notes the rates of every step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.seen.append({g.get("name", str(i)): g["lr"] for i, g in enumerate(trainer.optimizers[0].param_groups)})


@pytest.mark.parametrize("epochs", [3, -1])
def test_a_step_schedule_counts_epochs(epochs: int, make_config: MakeConfig) -> None:
    """As solo-learn main's does, and SimSiam's predictor keeps its rate; a run may end within an epoch."""
    cfg = make_config("simsiam", scheduler={"name": "step", "lr_decay_steps": [1, 2]}, max_epochs=3)
    module, rates = METHODS["simsiam"](parse_cfg(cfg)), Rates()
    options: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = Trainer(
        max_epochs=epochs,
        max_steps=5,
        accumulate_grad_batches=2,
        accelerator="cpu",
        callbacks=[rates],
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, DataLoader(Views(), batch_size=8))  # 4 batches, 2 steps an epoch
    first, base = list(rates.seen[0]), module.lr
    constant = [name for name, rate in rates.seen[-1].items() if rate == base]
    assert len(rates.seen) == 10
    assert [step[first[0]] / base for step in rates.seen] == pytest.approx([1] * 4 + [0.1] * 4 + [0.01] * 2)
    assert len(constant) == 1
    assert {step[constant[0]] for step in rates.seen} == {base}


def test_online_knn_votes_with_the_epoch_at_hand(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    compute = OnlineKNN.compute

    def count(self: OnlineKNN) -> dict[str, float]:
        held.append(sum(len(targets) for _, targets in self._train))
        return compute(self)

    monkeypatch.setattr(OnlineKNN, "compute", count)
    cfg = parse_cfg(make_config("simclr", knn_eval={"enabled": True}))
    fit(METHODS["simclr"](cfg), steps=4, max_epochs=3, check_val_every_n_epoch=3)
    assert held == [2 * 32]  # two views of every image, of the last of three epochs
    module = METHODS["simclr"](cfg)
    fit(module, steps=4, limit_val_batches=0)
    assert not module.knn._train


def test_learning_rates_scale_with_the_batch(make_config: MakeConfig) -> None:
    cfg = make_config("simclr")
    parsed = parse_cfg(cfg)
    assert parsed.optimizer.lr == pytest.approx(6.4 * 8 / 256)
    assert cfg.optimizer.lr == 6.4  # the config that was handed in is left alone
    assert parsed.data.num_large_crops == 2


def test_what_is_missing_is_named(make_config: MakeConfig) -> None:
    cfg = make_config("simclr")
    del cfg.optimizer["lr"]
    with pytest.raises(ConfigError, match=r"lacks optimizer\.lr"):
        parse_cfg(cfg)


@pytest.mark.skipif(host_info().kind == "main", reason="main takes any method_kwargs")
def test_arguments_of_a_method_are_checked(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"did you mean temperature"):
        METHODS["simclr"](parse_cfg(make_config("simclr", method_kwargs={"temprature": 1.0})))
    cfg = make_config("simclr")
    cfg.method_kwargs = OmegaConf.create({"temperature": 0.1})
    with pytest.raises(ConfigError, match="simclr needs proj_output_dim, proj_hidden_dim"):
        METHODS["simclr"](parse_cfg(cfg))


def test_names() -> None:
    assert {"gps_simclr", "gps_byol", "swav"} <= set(method_names())
    assert issubclass(find_method("gps_byol"), BaseMethod)
    assert find_method("gps_byol").wants_pair_batch
    assert not find_method("byol").wants_pair_batch
    with pytest.raises(ConfigError, match="did you mean gps_byol"):
        find_method("gps_bylo")
