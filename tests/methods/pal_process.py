"""One rank of a gloo group, or a single process with the global batch: one SGD step of a `pal_*`.

`ARGS`: rank, world, port, method, cfg (plain containers), closed, out. Writes `{"state_dict", "edges"}` to `out.rank`.
"""

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf
from torch import nn

from pal_plugin.data import Policy, load_digits, pair_loader
from pal_plugin.graph.relations import Edges, relations
from pal_plugin.host import parse_cfg
from pal_plugin.methods import find_method
from pal_plugin.oracle import oracle_graph

ARGS: dict[str, Any] = globals()["ARGS"]

rank, world = ARGS["rank"], ARGS["world"]
torch.manual_seed(0)
module = find_method(ARGS["method"])(parse_cfg(OmegaConf.create(ARGS["cfg"])))
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
graph = oracle_graph(dataset.labels, 0.5, manifest=dataset.manifest)
known = relations(graph) if ARGS["closed"] else Edges(graph)
loader = pair_loader(
    dataset,
    [Policy(crop_size=8, num_crops=2)],
    batch_size=16 // world,
    seed=0,
    pair_batch=True,
    relations=known,
    related_share=0.5,
    rank=rank,
    world_size=world,
)
module.relate(known, loader.batch_sampler.composition)  # type: ignore[union-attr]
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
)
trainer.fit(module, loader)
edges = float(trainer.callback_metrics["oracle_edges"])
torch.save({"state_dict": module.state_dict(), "edges": edges}, f"{ARGS['out']}.{rank}")
