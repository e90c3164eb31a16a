"""One rank of a gloo group, run by the tests in a process of its own: `rank_process.py RANK FOLDER`.

`FOLDER/loader.pkl` says what to load; `FOLDER/rank-RANK.pt` gets, of two epochs, the batches of both ranks.
"""

import pickle
import sys
from pathlib import Path

import torch
from torch import distributed

from pal_plugin.data import pair_loader

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
dataset, policies, settings = pickle.loads((folder / "loader.pkl").read_bytes())
distributed.init_process_group("gloo", init_method=f"file://{folder / 'group'}", rank=rank, world_size=2)
loader = pair_loader(dataset, policies, rank=rank, world_size=2, num_workers=rank, **settings)
epochs = []
for epoch in (0, 1):
    loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
    gathered: list[object] = [None, None]
    distributed.all_gather_object(gathered, list(loader))
    epochs.append(gathered)
torch.save(epochs, folder / f"rank-{rank}.pt")
distributed.destroy_process_group()
