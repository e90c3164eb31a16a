"""One rank of a gloo group, or a single process with the global batch: one SGD step of an `adassl_*`.

`ARGS`: rank, world, port, method, cfg (plain containers), out. Writes `{"state_dict", "loss", "noise"}` to `out.rank`.
"""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf
from torch import nn

from pal_plugin.data import Policy, load_digits, pair_loader
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import parse_cfg
from pal_plugin.methods import find_method

ARGS: dict[str, Any] = globals()["ARGS"]


class Noise(Callback):
    """Keeps what r's noise would begin with."""

    value = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.value = float(torch.randn((), generator=pl_module._generator(0)))


rank, world = ARGS["rank"], ARGS["world"]
torch.manual_seed(0)
module: Any = find_method(ARGS["method"])(parse_cfg(OmegaConf.create(ARGS["cfg"])))
# BatchNorm's statistics are of a rank's own rows: networks without it are the same on any number of ranks
for name, network in list(module.named_children()):
    if "backbone" in name:
        setattr(module, name, nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, module.features_dim), nn.Tanh()))
    elif isinstance(network, nn.Sequential):
        ends = [layer for layer in network if isinstance(layer, nn.Linear)]
        setattr(module, name, nn.Linear(ends[0].in_features, ends[-1].out_features))
if hasattr(module, "momentum_backbone"):
    for online, teacher in module.momentum_pairs:
        teacher.load_state_dict(online.state_dict())
        teacher.requires_grad_(False)
dataset = load_digits("train").subset(32, 0)
dataset.factors = np.random.default_rng(0).standard_normal((32, 4)).astype(np.float32)
if module.wants_factors:
    module.use_factors(dataset)
graph = SimilarityGraph.from_edges(32, range(32), np.roll(np.arange(32), -3), manifest=dataset.manifest)
loader = pair_loader(
    dataset,
    [Policy(crop_size=8, num_crops=2)],
    batch_size=16 // world,
    seed=0,
    graph=graph,
    pair_batch=True,
    extra_views=module.extra_views,
    rank=rank,
    world_size=world,
)
noise = Noise()
trainer = Trainer(
    max_epochs=1,
    limit_train_batches=1,
    accelerator="cpu",
    devices=world,
    strategy=DDPStrategy(process_group_backend="gloo", find_unused_parameters=False) if world > 1 else "auto",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    use_distributed_sampler=False,
    callbacks=[noise],
)
trainer.fit(module, loader)
loss = float(trainer.callback_metrics["adassl_ssl_loss"])
torch.save({"state_dict": module.state_dict(), "loss": loss, "noise": noise.value}, f"{ARGS['out']}.{rank}")
