"""One rank of a gloo group, run by test_gather.py: `python gather_process.py RANK WORLD FOLDER`.

Reads this rank's data from `FOLDER/data.pt`, and writes losses, gradients and what it gathered to `FOLDER/RANK.pt`.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pal_plugin.losses import (
    BlockGraph,
    augmentation_graph,
    gather_samples,
    gather_views,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vicreg_loss,
    interpolate,
)

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{folder / 'group'}", rank=rank, world_size=world)
data = torch.load(folder / "data.pt", weights_only=True)
x, target, classes = (data[name][rank] for name in ("x", "target", "classes"))

all_classes = gather_samples(classes)
graph = interpolate(augmentation_graph(all_classes.numel(), 2), BlockGraph([(1.0, all_classes.repeat(2))]), 0.9)
losses = {
    "simclr": graph_simclr_loss,
    "vicreg": graph_vicreg_loss,
    "barlow": graph_barlow_loss,
    "spectral": graph_spectral_loss,
    "byol": lambda z, graph: graph_byol_loss(z, gather_views(target, 2), graph),
}
out: dict[str, object] = {"classes": all_classes, "rows": gather_views(target, 2)}
for name, loss in losses.items():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    module = DistributedDataParallel(network)
    value = loss(gather_views(module(x), 2), graph)
    value.backward()
    out[name] = {"loss": value.detach(), "gradients": [p.grad for p in network.parameters()]}

# A loss that differs between ranks: DDP's gradient is that of the ranks' mean.
network.zero_grad()
((rank + 1) * gather_views(module(x), 2).square().sum()).backward()
out["of its own"] = {"gradients": [p.grad for p in network.parameters()]}
torch.save(out, folder / f"{rank}.pt")
dist.destroy_process_group()
