"""Values of the wrong kind end as one paragraph before anything is fetched."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from pal_plugin.cli import main
from pal_plugin.errors import ConfigError
from pal_plugin.launch import compose, config_names
from pal_plugin.values import REAL, WHOLE, check_values


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("max_epochs=abc", "max_epochs is 'abc'. Set it to a whole number of 1 or more"),
        ("max_epochs=0", "max_epochs is 0"),
        ("seed=1.5", "seed is 1.5"),
        ("optimizer.lr=abc", "optimizer.lr is 'abc'. Set it to a number of 0 or more"),
        ("optimizer.lr=nan", "optimizer.lr is nan"),
        ("optimizer.batch_size=true", "optimizer.batch_size is True"),
        ("data.num_workers=-1", "data.num_workers is -1"),
        ("data.on_device=maybe", "data.on_device is 'maybe'"),
        ("graph.k=four", "graph.k is 'four'"),
        ("backbone.name=resnet19", "There is no backbone 'resnet19'. Choose another: did you mean resnet18"),
        ("seed=null", "seed is None"),
        ("seed=5000000000", "seed is 5000000000. Set it to 4294967295 or less"),
        ("accumulate_grad_batches=null", "accumulate_grad_batches is None"),
        ("checkpoint.every_n_epochs=null", "checkpoint.every_n_epochs is None"),
        ("scheduler.min_lr=null", "scheduler.min_lr is None"),
        ("scheduler.warmup_epochs=null", "scheduler.warmup_epochs is None"),
        ("scheduler.name=cosine", "did you mean warmup_cosine"),
        ("+scheduler.interval=epoch", "scheduler.interval is 'epoch'"),
        ("optimizer.lr=inf", "optimizer.lr is inf"),
        ("+gradient_clip_val=-1", "gradient_clip_val is -1"),
        ("+gradient_clip_val=abc", "gradient_clip_val is 'abc'"),
        ("momentum.base_tau=2", "momentum.base_tau is 2 and momentum.final_tau 1.0. Set both to shares"),
        ("momentum.final_tau=0.5", "the first may not be the larger one"),
        ("method_kwargs.temperature=0", "method_kwargs.temperature is 0. Set it to a number above 0"),
        ("knn_eval.k=abc", "knn_eval.k is 'abc'"),
        ("knn_eval.distance_func=manhattan", "There is no distance 'manhattan'"),
        ("logger.name=tensorbord", "There is no logger 'tensorbord'. Set logger.name, or logger=none: did you mean"),
        ("limit_train_batches=5.5", "limit_train_batches is 5.5. Set it to a whole number of batches, a share"),
        ("precision=bf16-true", "precision is 'bf16-true': images, weights and EMA teachers are float32 here"),
        ("precision=foo", "Set it to one of auto, 32-true"),
        ("devices=0", "devices is 0"),
        ("devices=null", "devices is None"),
        ("devices=1.5", "devices is 1.5"),
        ("devices=[]", "devices is []"),
        ("accelerator=foo", "Lightning makes no trainer of this config:"),
        ("strategy=foo", "Lightning makes no trainer of this config:"),
        ("+optimizer.kwargs.foo=1", "The optimizer lars cannot be made of this config"),
        ("backbone.name=vit_tiny", "vit_tiny is made for images of size 224, and it is to see some of size 8"),
    ],
)
def test_refused(override: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "profile=debug", override]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "override", "said"),
    [
        ("simclr", ["scheduler.name=step", "scheduler.lr_decay_steps=5"], "scheduler.lr_decay_steps is 5"),
        ("wmse", ["optimizer.batch_size=64"], "whitening_size is 128, and wmse whitens a batch of 64"),
        *(
            (method, ["optimizer.batch_size=48", "method_kwargs.queue_size=64"], "queue_size is 64, and " + method)
            for method in ("nnclr", "gps_nnbyol", "nnsiam", "mocov2plus", "adassl_mocov2plus", "ressl")
        ),
        ("nnclr", ["devices=3"], "fills its queue with whole batches of 384 (batch_size × devices × num_nodes)"),
        ("byol", ["method_kwargs.proj_hidden_dim=0"], "proj_hidden_dim is 0. Set it to a whole number of 1 or more"),
        ("byol", ["method_kwargs.pred_hidden_dim=64.5"], "pred_hidden_dim is 64.5"),
        ("gps_vicreg", ["method_kwargs.var_loss_weight=much"], "var_loss_weight is 'much'. Set it to a number of 0 or"),
        ("barlow_twins", ["method_kwargs.scale_loss=null"], "scale_loss is None"),
        ("swav", ["method_kwargs.num_prototypes=0"], "num_prototypes is 0. Set it to a whole number of 1 or more, or"),
        ("deepclusterv2", ["method_kwargs.num_prototypes=[3, 0]"], "num_prototypes is [3, 0]"),
        ("deepclusterv2", ["method_kwargs.num_prototypes=[]"], "num_prototypes is []"),
        ("simclr", ["backbone.name=resnet50", "+backbone.kwargs.width_per_group=-1"], "simclr with resnet50 cannot be"),
        ("simclr", ["+gradient_clip_val=null", "+scheduler.interval=step", "precision=64-true"], "precision is"),
    ],
)
def test_refused_of_a_method(method: str, override: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", method, "profile=debug", *override]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["32", "16", "bf16", "bf16-mixed", "16-mixed"])
def test_short_names_of_precisions(precision: str) -> None:
    check_values(compose("simclr", ["profile=debug", f"precision={precision}"]))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("graph.seed=-1", "graph.seed is -1. Set it to a whole number of 0 or more"),
        ("graph.relations=x", "graph.relations is 'x'"),
        ("graph.noise=-0.1", "graph.noise is -0.1"),
    ],
)
def test_refused_of_an_oracle(override: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "pal_simclr", "profile=debug", override]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("profile", ["debug", "smoke", "cpu", "paper"])
@pytest.mark.parametrize("name", ["simclr", "gps_byol"])
def test_the_shipped_configs_pass(name: str, profile: str) -> None:
    check_values(compose(name, [f"profile={profile}"]))


def test_every_key_exists() -> None:
    configs = [compose("adassl_simclr", ["graph=factors"]), *map(compose, config_names())]
    for key in [*WHOLE, *REAL]:
        parent, _, last = key.rpartition(".")
        assert any(last in ((OmegaConf.select(cfg, parent) or {}) if parent else cfg) for cfg in configs), key


def test_an_override_that_hydra_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "graph.prior=pixels?side=32"]) == 2
    assert """quote it twice: 'graph.prior="pixels?side=32"'""" in capsys.readouterr().err


def test_a_value_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-name", "gps_simclr", "profile=debug", "graph=pairs"]) == 2
    assert "needs graph.pairs. Add graph.pairs=" in capsys.readouterr().err


def test_ints_for_floats() -> None:
    cfg = compose("simclr", ["optimizer.lr=1"])
    check_values(cfg)
    cfg.optimizer.lr = -1
    with pytest.raises(ConfigError, match=r"optimizer\.lr is -1"):
        check_values(cfg)
