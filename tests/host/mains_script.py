"""A researcher's own script in the shape of solo-learn main's main_pretrain.py; `ARGS`: cfg, out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pal_plugin

pal_plugin.register()

from lightning.pytorch import Trainer, seed_everything  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from solo.args.pretrain import parse_cfg  # noqa: E402
from solo.data.pretrain_dataloader import (  # noqa: E402
    FullTransformPipeline,
    NCropAugmentation,
    build_transform_pipeline,
    prepare_dataloader,
    prepare_datasets,
)
from solo.methods import METHODS  # noqa: E402

from pal_plugin.errors import PalError  # noqa: E402

ARGS: dict[str, Any] = globals()["ARGS"]


def refused(call: Callable[[], Any]) -> Any:
    """Call it, leaving an error of the plugin's in `out` with the ending `.error`."""
    try:
        return call()
    except PalError as error:
        text = f"{type(error).__name__}: {error}"
        Path(ARGS["out"]).with_suffix(".error").write_text(text, encoding="utf-8")
        raise


cfg = OmegaConf.create(ARGS["cfg"])
OmegaConf.set_struct(cfg, False)
cfg = refused(lambda: parse_cfg(cfg))
seed_everything(cfg.seed)
model = METHODS[cfg.method](cfg)
transform = FullTransformPipeline(
    [NCropAugmentation(build_transform_pipeline("custom", aug), aug.num_crops) for aug in cfg.augmentations]
)
dataset = refused(lambda: prepare_datasets("custom", transform, train_data_path=cfg.data.train_path))
loader = prepare_dataloader(dataset, batch_size=cfg.optimizer.batch_size, num_workers=cfg.data.num_workers)
seen: list[Any] = []
step = type(model).training_step


def remember(self: Any, batch: Any, batch_idx: int) -> Any:
    seen.append(
        {
            "index": batch[0].tolist(),
            "targets": batch[2].tolist(),
            "means": [v.mean((1, 2, 3)).tolist() for v in batch[1]],
        }
    )
    return step(self, batch, batch_idx)


type(model).training_step = remember
trainer = Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)  # fmt: skip
trainer.fit(model, loader)
Path(ARGS["out"]).write_text(json.dumps(seen))
