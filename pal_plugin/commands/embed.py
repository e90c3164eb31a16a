"""`pal embed`: a data set in the space of a prior."""

from __future__ import annotations

import argparse
import time
from typing import Any

from pal_plugin.commands.options import (
    add_dataset,
    add_json,
    add_part,
    at_least,
    data_config,
    file_path,
    load_part,
    show,
)
from pal_plugin.commands.targets import check_folder

_PRIORS = """priors (SPEC; quote what has a ?):
  lite0                             EfficientNet-Lite0, ImageNet; its weights come with the installation
  hog, pixels, pca:64               without weights; also 'pixels?side=32', 'pca:64?side=16'
  checkpoint:PATH                   a backbone that pal train or plain solo-learn trained
  timm:NAME                         any of timm's networks
  torchvision:NAME[/WEIGHTS]        any of torchvision's classifiers
  open_clip:NAME/TAG                the image tower of a CLIP network (pip install open-clip-torch)
  python:MODULE:FUNCTION            your own: images in, (B, D) numbers out

The weights of timm, torchvision and open_clip are downloaded, or read from a file: 'timm:resnet18?checkpoint=PATH'.
Networks also take device= (auto, cpu, cuda) and precision= (auto, float32, bfloat16): 'lite0?precision=float32'.
An embedding that was stopped goes on where it was when the same command is given again."""


def add(commands: Any) -> None:
    """Add `pal embed` to the commands."""
    embed = commands.add_parser(
        "embed",
        help="embed a data set by a prior network into a feature store",
        epilog=_PRIORS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_dataset(embed, required=True)
    add_part(embed)
    embed.add_argument("--prior", required=True, metavar="SPEC", help="what embeds; see below")
    embed.add_argument(
        "--fit",
        choices=["train", "val", "test"],
        metavar="SPLIT",
        help="fit a prior that needs it (pca) to this whole split (default: to the images that are embedded)",
    )
    embed.add_argument("--batch-size", type=int, metavar="B", help="images at once (default: 1024; 64 from files)")
    embed.add_argument(
        "--workers", type=at_least(0), default=0, metavar="N", help="processes that read images (default: 0)"
    )
    embed.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray embeds on the cluster that RAY_ADDRESS names, or on all of this machine (default: local)",
    )
    embed.add_argument("--out", type=file_path, metavar="DIR", help="feature store to write (default: the cache)")
    add_json(embed)
    embed.set_defaults(run=_embed)


def _embed(args: argparse.Namespace) -> int:
    from pal_plugin.data import dataset_from_config
    from pal_plugin.errors import DataError, FeatureError
    from pal_plugin.priors import cached_at, embed, make_prior, ready

    started = time.perf_counter()
    if args.out is not None:
        check_folder(args.out, "features.json", FeatureError)
    made = make_prior(args.prior)
    dataset = load_part(args)
    prior = ready(made, dataset if args.fit is None else dataset_from_config(data_config(args), args.fit))
    folder = args.out or cached_at(dataset, prior)
    try:
        store = embed(
            dataset, prior, out=args.out, batch_size=args.batch_size, num_workers=args.workers, engine=args.engine
        )
    except DataError as error:
        partial = folder.with_name(f".{folder.name}.partial")
        if not partial.exists():
            raise
        kept = (
            f"What is embedded so far is kept in {partial}: the same command goes on from there, for the same images; "
        )
        raise type(error)(error.what, f"{error.mend}. {kept}delete it once they have changed") from error
    rows, dimensions = store.features.shape
    figures = {"features": str(folder), "rows": rows, "dimensions": dimensions}
    show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0
