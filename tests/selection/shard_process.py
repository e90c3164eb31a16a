"""One rank of a gloo group, run by test_sharded.py: `python shard_process.py RANK WORLD FOLDER`.

Selects from this rank's rows in `FOLDER/data.npz` as the cases there say, and writes picks or errors to
`FOLDER/RANK.npz`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from pal_plugin.errors import PalError
from pal_plugin.selection import KCenterGreedy, Selection

torch.set_num_threads(1)
rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{folder / 'group'}", rank=rank, world_size=world)
found = {}
with np.load(folder / "data.npz") as data:
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        rows = np.array_split(data[case["data"]], [case["split"]])[rank]
        if "widths" in case:
            rows = rows[:, : case["widths"][rank]]
        try:
            selector = KCenterGreedy(**case["parameters"])
            labelled, manifest = case.get("labelled"), None
            if "picks" in case:  # of the data set named there
                labelled = Selection(np.arange(3), manifest=case["picks"])
                manifest = {"name": "a", "split": "train", "size": 900, "digest": "y"}
            picks = selector.select_sharded(rows, case["budget"], labelled=labelled, manifest=manifest)
            found |= {f"{name}/indices": picks.indices, f"{name}/radii": picks.radii}
        except PalError as error:
            found[f"{name}/error"] = np.array(str(error))
np.savez(folder / f"{rank}.npz", **found)
dist.destroy_process_group()
