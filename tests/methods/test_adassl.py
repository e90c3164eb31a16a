"""`adassl_*`: without an edit the host's method; with one, every part where the paper has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor, nn

from pal_plugin.data import ImageDataset, Policy, eval_loader, pair_loader
from pal_plugin.errors import ConfigError, DataError, LossError, PalError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host.optim import LARS
from pal_plugin.launch import compose
from pal_plugin.methods import find_method, method_names
from pal_plugin.train import train

Make = Callable[..., Any]
NAMES = ("byol", "mocov2plus", "simclr", "vicreg")
SMALL = {"latent_dim": 4, "latent_hidden_dims": [16], "editor_hidden_dims": [16]}
POLICY = Policy.from_config({"crop_size": 8, "num_crops": 2, "rrc": {"enabled": True, "crop_min_scale": 0.3}})


def partners(dataset: ImageDataset) -> SimilarityGraph:
    """Every image with the next but two."""
    size = len(dataset)
    return SimilarityGraph.from_edges(size, range(size), np.roll(np.arange(size), -3), manifest=dataset.manifest)


def batch_of(module: Any, dataset: ImageDataset, size: int = 8) -> list[Any]:
    loader = pair_loader(
        dataset,
        [POLICY],
        batch_size=size,
        seed=0,
        graph=partners(dataset),
        pair_batch=True,
        extra_views=module.extra_views,
    )
    batch: list[Any] = next(iter(loader))
    return batch


def step(module: Any, batch: list[Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of one step; parameters without a gradient have none."""
    module.train()
    module.zero_grad()
    out = module.training_step(batch, 0)
    loss: Tensor = out["loss"] if isinstance(out, dict) else out
    loss.backward()
    gradients = {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
    return loss.detach(), gradients


def doubled(module: Any, batch: list[Any]) -> tuple[Any, list[Any]]:
    """Both in float64."""
    return module.double(), [batch[0], [view.double() for view in batch[1]], batch[2]]


@pytest.mark.parametrize("name", NAMES)
def test_vanilla_is_the_hosts_own_method(name: str, digits: ImageDataset, make: Make) -> None:
    """Loss, gradients, and all that a step leaves behind: statistics of BatchNorm, queues."""
    mine, host = make(f"adassl_{name}", method_kwargs={"variant": "vanilla"}), make(f"gps_{name}")
    assert [key for key, _ in mine.named_parameters()] == [key for key, _ in host.named_parameters()]
    loss, gradients = step(mine, batch_of(mine, digits))
    expected, others = step(host, batch_of(mine, digits))
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    assert gradients.keys() == others.keys()
    largest = max(float(gradient.abs().max()) for gradient in others.values())
    for key, gradient in gradients.items():  # a bias before BatchNorm has none but rounding errors
        scale = float(others[key].abs().max()) + 1e-3 * largest
        assert float((gradient - others[key]).abs().max()) < 1e-4 * scale, key
    torch.testing.assert_close(dict(mine.named_buffers()), dict(host.named_buffers()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_sparse_latent_begins_as_vanilla(name: str, digits: ImageDataset, make: Make) -> None:
    """The editor's B is zero at first: nothing is edited, and the loss says nothing to A and the posterior."""
    sparse = make(f"adassl_{name}", method_kwargs=SMALL | {"variant": "s", "reg_beta": 0.0})
    vanilla = make(f"adassl_{name}", method_kwargs={"variant": "vanilla"})
    batch = batch_of(sparse, digits)
    loss, gradients = step(*doubled(sparse, batch))
    expected, others = step(*doubled(vanilla, batch))
    assert torch.equal(loss, expected)
    for key, gradient in gradients.items():
        if key in others:
            torch.testing.assert_close(gradient, others[key], rtol=1e-6, atol=1e-9, msg=key)
        else:
            assert key.startswith("adassl."), key
            assert (key == "adassl.editor.B.weight") == bool(gradient.any()), key
    charged = make(f"adassl_{name}", method_kwargs=SMALL | {"variant": "s", "reg_beta": 1.0})
    _, gradients = step(charged, batch_of(charged, digits))
    assert all(value.any() for key, value in gradients.items() if key.startswith("adassl.latent") and value.ndim == 2)


@pytest.mark.parametrize("additional_view", [False, True])
def test_byols_gradient_is_twice_the_papers(additional_view: bool, digits: ImageDataset, make: Make) -> None:
    module = make(
        "adassl_byol", method_kwargs=SMALL | {"variant": "v", "reg_beta": 0.3, "additional_view": additional_view}
    )
    module, batch = doubled(module, batch_of(module, digits))
    loss, gradients = step(module, batch)

    module.zero_grad()
    views = batch[1]
    z = [module.projector(module.backbone(view)) for view in views]
    with torch.no_grad():
        teacher = [module.momentum_projector(module.momentum_backbone(view)) for view in views[:2]]
    seen = z[2:] if additional_view else teacher
    edited = module.adassl(*z[:2], *seen, generator=module._generator(0))
    to_y, to_x = module.predictor(edited.edited_y), module.predictor(edited.edited_x)
    cosines = F.cosine_similarity(to_x, teacher[0]).mean() + F.cosine_similarity(to_y, teacher[1]).mean()
    paper = -cosines + 0.3 * edited.penalty
    paper.backward()
    probe = sum(
        F.cross_entropy(classifier(backbone(view).detach()), labels) / 2
        for classifier, backbone in (
            (module.classifier, module.backbone),
            (module.momentum_classifier, module.momentum_backbone),
        )
        for view, labels in zip(views[:2], batch[2][:, :2].T, strict=True)
    )
    torch.testing.assert_close(loss, (4 + 2 * paper + probe).detach())
    for key, value in module.named_parameters():
        if value.grad is not None:
            torch.testing.assert_close(gradients[key], 2 * value.grad, rtol=1e-6, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_posterior_sees(name: str, digits: ImageDataset, make: Make) -> None:
    """The target itself, the teacher's embedding of it, or the online network's of another view; never r's own view."""
    for additional_view in (False, True):
        module = make(f"adassl_{name}", method_kwargs=SMALL | {"additional_view": additional_view})
        batch = batch_of(module, digits)
        assert len(batch[1]) == (4 if additional_view else 2)
        given: list[Tensor] = []
        hook = module.adassl.latent.posterior_net.register_forward_pre_hook(
            lambda _, rows, to=given: to.append(rows[0])
        )
        step(module, batch)
        hook.remove()
        with torch.no_grad():
            x, y = (module.projector(module.backbone(view)) for view in batch[1][:2])
            seen_x, seen_y = x, y
            if additional_view:
                seen_x, seen_y = (module.projector(module.backbone(view)) for view in batch[1][2:])
            elif hasattr(module, "momentum_projector"):
                views = batch[1]
                seen_x, seen_y = (module.momentum_projector(module.momentum_backbone(view)) for view in views)
        torch.testing.assert_close(given[0], torch.cat([x, seen_y], 1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(given[1], torch.cat([y, seen_x], 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("additional_view", [False, True])
def test_every_network_sees_every_view_once(name: str, additional_view: bool, digits: ImageDataset, make: Make) -> None:
    """BatchNorm counts it; what the log is told on the way (the loss by source of r) counts nothing."""
    module = make(f"adassl_{name}", method_kwargs=SMALL | {"additional_view": additional_view})
    step(module, batch_of(module, digits))
    online = 4 if additional_view else 2
    expected = {"backbone": online, "projector": online, "momentum_backbone": 2, "momentum_projector": 2}
    for key, value in module.named_buffers():
        if key.endswith("num_batches_tracked"):
            assert value == expected.get(key.split(".")[0], 2), key  # predictor, prior, posterior, editor: directions
    assert all(part.training for part in module.modules())


HEADS = [
    {"variant": "v"},
    {"variant": "v", "editor": "linear"},
    {"variant": "v", "editor": "add", "latent_dim": 8},
    {"variant": "v", "editor": "sparse"},
    {"variant": "s"},
    {"variant": "gt"},
]


ADAMW = {"name": "adamw", "lr": 0.03, "weight_decay": 0.0}


@pytest.mark.parametrize("settings", HEADS, ids=lambda settings: "-".join(map(str, settings.values())))
@pytest.mark.parametrize("name", NAMES)
def test_every_head_is_trained(
    name: str, settings: dict[str, Any], digits: ImageDataset, make: Make, train_two_epochs: Make
) -> None:
    """Nothing decays, so that a parameter moves only where the optimiser has it and the loss reaches it."""
    extra = {"learnable_lambda": True} if name == "simclr" else {}
    module = make(f"adassl_{name}", method_kwargs=SMALL | settings | extra, optimizer=ADAMW)
    if settings["variant"] == "gt":
        module.use_factors(with_factors(digits, 4))
    before = {key: value.detach().clone() for key, value in module.named_parameters() if value.requires_grad}
    train_two_epochs(module, digits, partners(digits), [POLICY])
    after = dict(module.named_parameters())
    assert [key for key, value in before.items() if torch.equal(value, after[key])] == []
    assert any(key.startswith("adassl.") for key in before)
    assert ("scale.raw" in before) == (name == "simclr")
    assert all(value.isfinite().all() for value in after.values())


class Groups(Callback):
    """Keeps what the optimiser was given for every parameter."""

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        (optimizer,) = trainer.optimizers
        self.of = {
            id(parameter): {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        trainer.should_stop = True


def quiet_trainer(**options: Any) -> Trainer:
    options |= {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", logger=False, **options)


def loader_of(module: Any, dataset: ImageDataset, size: int = 8) -> Any:
    options: dict[str, Any] = {"pair_batch": True, "extra_views": module.extra_views}
    return pair_loader(dataset, [POLICY], batch_size=size, seed=0, graph=partners(dataset), **options)


@pytest.mark.parametrize("exclude", [False, True])
def test_lambda_is_not_decayed(exclude: bool, digits: ImageDataset, make: Make) -> None:
    optimizer = ADAMW | {"weight_decay": 0.5, "exclude_bias_n_norm_wd": exclude}
    module = make("adassl_simclr", method_kwargs=SMALL | {"learnable_lambda": True}, optimizer=optimizer)
    groups = Groups()
    quiet_trainer(max_epochs=1, callbacks=[groups]).fit(module, loader_of(module, digits))
    assert groups.of[id(module.scale.raw)]["weight_decay"] == 0
    assert groups.of[id(module.adassl.editor.net[0].weight)]["weight_decay"] == 0.5
    assert groups.of.keys() == {id(value) for value in module.parameters() if value.requires_grad}


@pytest.mark.parametrize("exclude", [False, True])
def test_lars_does_not_scale_lambda(exclude: bool) -> None:
    number = nn.Parameter(torch.tensor(0.5))
    optimizer = LARS([number], lr=0.1, weight_decay=0.9, eta=0.02, clip_lr=True, exclude_bias_n_norm=exclude)
    number.grad = torch.tensor(2.0)
    optimizer.step()
    assert number.item() == pytest.approx(0.5 - 0.1 * 2.0)


class Betas(Callback):
    """Keeps β of every micro-batch, and validates now and then."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.seen.append(float(trainer.callback_metrics["adassl_beta_step"]))


def test_beta_follows_the_optimisers_steps(digits: ImageDataset, make: Make) -> None:
    """Two micro-batches make a step; validation after every epoch makes none."""
    settings = SMALL | {"reg_beta": 0.4, "reg_beta_warmup_steps": 4}
    module = make("adassl_byol", method_kwargs=settings, accumulate_grad_batches=2, optimizer=ADAMW)
    betas = Betas()
    validation = eval_loader(digits, 8, 8)
    trainer = quiet_trainer(max_epochs=3, accumulate_grad_batches=2, callbacks=[betas], num_sanity_val_steps=1)
    trainer.fit(module, loader_of(module, digits, 4), validation)
    assert betas.seen == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3] + 6 * [0.4])
    assert trainer.global_step == 6


def test_noise_is_of_its_step_micro_batch_and_rank(digits: ImageDataset, make: Make) -> None:
    module = make("adassl_simclr", method_kwargs=SMALL, accumulate_grad_batches=2)
    drawn = [torch.randn(3, generator=module._generator(batch)) for batch in (0, 1, 2)]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], torch.randn(3, generator=make("adassl_simclr", seed=1)._generator(0)))
    batch = batch_of(module, digits)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, _ = step(module, batch)
    assert torch.equal(before, torch.random.get_rng_state())
    seed_everything(8, verbose=False)
    again, _ = step(make("adassl_simclr", method_kwargs=SMALL, accumulate_grad_batches=2), batch)
    assert torch.equal(first, again)


def with_factors(dataset: ImageDataset, number: int) -> ImageDataset:
    rows = dataset.take(np.arange(len(dataset)))
    rows.factors = np.random.default_rng(0).standard_normal((len(rows), number)).astype(np.float32)
    rows.__post_init__()
    return rows


def test_gt_is_told_the_difference_of_the_factors(digits: ImageDataset, make: Make) -> None:
    module = make("adassl_simclr", method_kwargs=SMALL | {"variant": "gt"})
    batch = batch_of(module, digits)
    with pytest.raises(ConfigError, match="gt has been told no factors"):
        step(module, batch)
    with pytest.raises(ConfigError, match="digits has no factors"):
        module.use_factors(digits)
    with pytest.raises(ConfigError, match=r"digits has 3 factors, and method_kwargs\.latent_dim is 4"):
        module.use_factors(with_factors(digits, 3))
    dataset = with_factors(digits, 4)
    module.use_factors(dataset)
    given: list[Tensor] = []
    module.adassl.editor.register_forward_pre_hook(lambda _, rows: given.append(rows[1]))
    step(module, batch)
    assert dataset.factors is not None
    first, second = (torch.from_numpy(dataset.factors[batch[0][:, view]]) for view in (0, 1))
    assert torch.equal(given[0], second - first)  # from view 1 to view 2
    assert torch.equal(given[1], first - second)
    assert module.adassl.latent.latent_dim == 4


def test_float32_within_bfloat16(digits: ImageDataset, make: Make) -> None:
    for name in NAMES:
        module = make(f"adassl_{name}", method_kwargs=SMALL | {"reg_beta": 1e-3})
        batch = batch_of(module, digits)
        full, _ = step(module, batch)
        drawn: list[Any] = []
        module.adassl.latent.register_forward_hook(lambda _, rows, draw, to=drawn: to.append(draw))
        with torch.autocast("cpu", torch.bfloat16):
            half, gradients = step(module, batch)
        assert half.dtype == torch.float32
        assert {draw.r.dtype for draw in drawn} == {draw.penalty.dtype for draw in drawn} == {torch.float32}
        torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)
        assert all(value.isfinite().all() for value in gradients.values())


def test_statistics_of_all_ranks_can_be_taken(make: Make) -> None:
    module: Any = nn.SyncBatchNorm.convert_sync_batchnorm(make("adassl_byol", method_kwargs=SMALL))
    norms = [part for part in module.adassl.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == 3
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)


def test_what_the_log_is_told(digits: ImageDataset, make: Make) -> None:
    module = make("adassl_simclr", method_kwargs=SMALL | {"learnable_lambda": True}, optimizer=ADAMW)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(module, loader_of(module, digits))
    logged = {
        key for key in trainer.callback_metrics if key.startswith("adassl_") and not key.endswith(("_step", "_epoch"))
    }
    names = {
        "ssl_loss",
        "penalty",
        "beta",
        "kl",
        "active_dims",
        "prior_std",
        "posterior_std",
        "clamped_share",
        "lambda",
    }
    names |= {f"kl_dim{j}" for j in range(4)} | {f"loss_{source}" for source in ("posterior", "prior", "shuffled")}
    assert logged == {f"adassl_{name}" for name in names}
    module = make("adassl_byol", method_kwargs=SMALL | {"variant": "s"}, optimizer=ADAMW)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(module, loader_of(module, digits))
    assert {"adassl_expected_l0", "adassl_active_l0", "adassl_active_l0_dim3", "adassl_loss_shuffled"} <= set(
        trainer.callback_metrics
    )
    assert "adassl_loss_prior" not in trainer.callback_metrics


class Poison(Callback):
    """Keeps a checkpoint after the first step, then spoils the mean of r's third dimension."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        trainer.save_checkpoint(self.path)
        with torch.no_grad():
            pl_module.adassl.latent.posterior_net[-1].bias[2] = torch.nan


def test_a_penalty_that_is_not_finite(digits: ImageDataset, make: Make, tmp_path: Path) -> None:
    """The step and the dimension are named, and the last good checkpoint is kept."""
    path = tmp_path / "last.ckpt"
    module = make("adassl_byol", method_kwargs=SMALL, optimizer=ADAMW)
    trainer = quiet_trainer(max_epochs=1, callbacks=[Poison(path)])
    with pytest.raises(LossError, match=r"Step 1: .* not finite in dimension 2: nan.*clip the gradient"):
        trainer.fit(module, loader_of(module, digits))
    kept = path.read_bytes()
    with pytest.raises(LossError, match=r"After step 1, \d of .*posterior_net.*kept as it was"):
        trainer.save_checkpoint(path)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("clip", [None, 0, 1e-3])
def test_clipping_leaves_the_probes_out(clip: float | None, digits: ImageDataset, make: Make) -> None:
    class Norms(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            probes = {"classifier.weight", "classifier.bias", "momentum_classifier.weight", "momentum_classifier.bias"}
            named = [
                (key, value.grad.double().flatten())
                for key, value in pl_module.named_parameters()
                if value.requires_grad
            ]
            self.networks = torch.cat([value for key, value in named if key not in probes]).norm()
            self.probes = torch.cat([value for key, value in named if key in probes]).norm()

    found = []
    for limit in (clip, None):
        module = make("adassl_byol", method_kwargs=SMALL, optimizer=ADAMW)
        norms = Norms()
        quiet_trainer(max_steps=1, callbacks=[norms], gradient_clip_val=limit).fit(module, loader_of(module, digits))
        found.append(norms)
    clipped, free = found
    torch.testing.assert_close(clipped.probes, free.probes)
    assert float(free.networks) > 1
    assert float(clipped.networks) == pytest.approx(clip or float(free.networks), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("simclr", {"variant": "w"}, "variant is 'w'.*one of v, s, gt, vanilla"),
        ("simclr", {"editor": "mpl"}, "editor is 'mpl'.*mlp, linear, add, sparse"),
        ("simclr", {"editor": "add"}, "of the embeddings' size 8, and latent_dim is 20.*latent_dim=8"),
        ("simclr", {"latent_dim": 0}, "latent_dim is 0"),
        ("simclr", {"latent_dim": 2.0}, r"latent_dim is 2\.0"),
        ("simclr", {"latent_hidden_dims": [0]}, r"latent_hidden_dims is \[0\]"),
        ("simclr", {"editor_hidden_dims": 512}, "editor_hidden_dims is 512"),
        ("simclr", {"reg_beta": -0.1}, "reg_beta is -0.1"),
        ("simclr", {"reg_beta": float("nan")}, "reg_beta is nan"),
        ("simclr", {"reg_beta_warmup_steps": 0.5}, r"warmup_steps is 0\.5"),
        ("simclr", {"reg_kl_target": 0}, "reg_kl_target is 0"),
        ("simclr", {"reg_kl_target": 1.0, "variant": "vanilla"}, "variant vanilla .* none to change"),
        ("simclr", {"reg_kl_target": 1.0, "reg_beta": 0}, "reg_beta 0 there is none"),
        ("simclr", {"additional_view": "yes"}, "additional_view is 'yes'"),
        ("simclr", {"logit_clamp": 0}, "logit_clamp is 0.*or null"),
        ("simclr", {"supervised": True}, "graph=labels"),
        ("byol", {"logit_clamp": 20.0}, "adassl_byol has no method_kwargs.logit_clamp.*adassl_simclr"),
        ("vicreg", {"learnable_lambda": True}, "adassl_vicreg has no method_kwargs.learnable_lambda"),
    ],
)
def test_settings_that_cannot_be(name: str, settings: dict[str, Any], message: str, make: Make) -> None:
    with pytest.raises((ConfigError, LossError), match=message):
        make(f"adassl_{name}", method_kwargs=settings)


def test_batches_that_cannot_be(digits: ImageDataset, make: Make) -> None:
    crops = [{"crop_size": 8, "num_crops": 2}, {"crop_size": 4, "num_crops": 2}]
    for name in NAMES:
        with pytest.raises(ConfigError, match=f"adassl_{name} compares two views.*small crops"):
            make(f"adassl_{name}", augmentations=crops)
    module = make("adassl_simclr", method_kwargs=SMALL | {"additional_view": True})
    index, views, labels = batch_of(module, digits)
    with pytest.raises(
        ConfigError, match=r"takes batches of pairs, \[index \(B, 4\).* was given .*\(8, 2\) and 2 views"
    ):
        module.training_step([index[:, :2], views[:2], labels[:, :2]], 0)
    with pytest.raises(ConfigError, match=r"index of shape \(8,\)"):
        module.training_step([index[:, 0], views, labels[:, 0]], 0)
    with pytest.raises(LossError, match="batch of one pair"):
        module.training_step([index[:1], [view[:1] for view in views], labels[:1]], 0)


def test_extra_views_come_beside_the_others(digits: ImageDataset, make: Make) -> None:
    without, with_extra = (make("adassl_simclr", method_kwargs={"additional_view": extra}) for extra in (False, True))
    index, views, labels = batch_of(without, digits)
    more_index, more_views, more_labels = batch_of(with_extra, digits)
    assert torch.equal(more_index, torch.cat([index, index], 1))
    assert torch.equal(more_labels, torch.cat([labels, labels], 1))
    assert (index[:, 0] != index[:, 1]).all()
    assert all(torch.equal(more, view) for more, view in zip(more_views, views, strict=False))
    for view in (0, 1):
        assert not torch.equal(more_views[view], more_views[view + 2])
    for variant in ("gt", "vanilla"):  # they have no posterior that would look at them
        assert not make("adassl_simclr", method_kwargs={"additional_view": True, "variant": variant}).extra_views


def test_factors_that_do_not_fit(digits: ImageDataset) -> None:
    for factors in (np.zeros((3, 2), np.float32), np.zeros((16, 2)), np.zeros(16, np.float32)):
        with pytest.raises(DataError, match=r"factors are float.* for 16 images"):
            dataclasses.replace(digits, factors=factors)
    with pytest.raises(DataError, match="not finite"):
        dataclasses.replace(digits, factors=np.full((16, 2), np.nan, np.float32))
    some = with_factors(digits, 2)
    assert some.factors is not None
    part = some.take([3, 1])
    assert part.factors is not None
    assert np.array_equal(part.factors, some.factors[[3, 1]])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["graph=none"], "adassl_byol learns from pairs of different images.*graph=knn"),
        (["method_kwargs.variant=gt"], "digits has no factors"),
        (["augmentation=multicrop", "small_crop_size=4"], "adassl_byol compares two views.*small crops"),
        (["method_kwargs.editor=add"], "latent_dim is 20.*latent_dim=128"),
        (["graph=pairs", "graph.pairs=PAIRS"], "nobody"),
    ],
)
def test_runs_that_cannot_be(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused before a run's folder is made."""
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pairs.csv").write_text("id_a,id_b\ndigits/0000,nobody\n", encoding="utf-8")
    given = [text.replace("PAIRS", str(tmp_path / "pairs.csv")) for text in overrides]
    with pytest.raises(PalError, match=message):
        train(compose("adassl_byol", ["profile=debug", f"run_dir={tmp_path / 'run'}", *given]))
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_the_authors_settings() -> None:
    """CelebA's, of the authors' code; a profile for short runs goes before its optimiser."""
    cfg = compose("adassl_simclr", ["profile=paper"])
    kwargs = cfg.method_kwargs
    assert (kwargs.variant, kwargs.latent_dim, kwargs.reg_beta, kwargs.reg_beta_warmup_steps) == ("v", 20, 0.1, 5000)
    assert (list(kwargs.latent_hidden_dims), list(kwargs.editor_hidden_dims)) == ([1024], [512])
    assert (kwargs.temperature, kwargs.learnable_lambda, kwargs.logit_clamp) == (0.1, True, 20.0)
    assert (kwargs.proj_hidden_dim, kwargs.proj_output_dim, kwargs.additional_view) == (1024, 128, True)
    assert (cfg.optimizer.name, cfg.optimizer.lr, cfg.optimizer.weight_decay) == ("adamw", 1e-4, 1e-4)
    assert (cfg.scheduler.name, cfg.gradient_clip_val) == ("none", 1.0)
    assert compose("adassl_byol", ["profile=paper"]).momentum.base_tau == 0.996
    sparse = compose("adassl_byol", ["profile=paper", "adassl=celeba_s"]).method_kwargs
    assert (sparse.variant, sparse.reg_beta, sparse.reg_beta_warmup_steps, sparse.latent_dim) == ("s", 0.5, 0, 20)
    smoke = compose("adassl_simclr", ["profile=smoke"])
    assert (smoke.optimizer.lr, smoke.method_kwargs.reg_beta_warmup_steps) == (0.002, 80)


def test_names() -> None:
    assert {f"adassl_{name}" for name in NAMES} <= set(method_names())
    assert not any(name.startswith("gps_adassl") for name in method_names())
    with pytest.raises(ConfigError, match="'adassl_byol' takes pairs as it is"):
        find_method("gps_adassl_byol")
    with pytest.raises(ConfigError, match=r"adassl_simlcr.*adassl_simclr"):
        find_method("adassl_simlcr")
