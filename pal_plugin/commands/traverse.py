"""`pal traverse`: what AdaSSL's latent r does, as a picture."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pal_plugin.commands.options import add_dataset, add_json, at_least, device_name, file_path, seed, show
from pal_plugin.commands.targets import check_picture
from pal_plugin.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from omegaconf import DictConfig

    from pal_plugin.data import ImageDataset
    from pal_plugin.evaluation.traversal import Traversal

_PAIRS = 1024  # that the KL of a dimension is the mean of


def add(commands: Any) -> None:
    """Add `pal traverse` to the commands."""
    parser = commands.add_parser(
        "traverse",
        help="what AdaSSL's latent r does, as a picture",
        description="Move r along its most active dimensions (largest KL first) from the prior's mean, or draw it from "
        "the prior, and show the image whose embedding the edited one comes closest to. Where a whole line is one "
        "image, r is not used there. Beside each anchor stands its partner, with its place among all images by how "
        "close the edit with the mean of the posterior, which sees it, comes to it, and with that of the prior.",
    )
    parser.add_argument("--checkpoint", type=file_path, required=True, metavar="PATH", help="of an adassl_*, variant v")
    add_dataset(parser, required=False)
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--subset", type=int, metavar="N", help="a stratified sample of N images (default: as trained)")
    parser.add_argument(
        "--graph",
        type=file_path,
        metavar="GRAPH",
        help="graph folder the pairs are from (default: made as for training)",
    )
    parser.add_argument("--rows", type=int, default=4, metavar="N", help="anchors (default: 4)")
    parser.add_argument("--dims", type=int, default=6, metavar="N", help="dimensions of r (default: 6)")
    parser.add_argument("--steps", type=int, default=7, metavar="N", help="images along each (default: 7)")
    reach = "how far to move r, in the prior's standard deviations (default: 3)"
    parser.add_argument("--reach", type=float, default=3.0, metavar="SD", help=reach)
    parser.add_argument("--samples", type=int, default=0, metavar="N", help="draws from the prior, each retrieved")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of anchors, pairs and draws (default: 0)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 …")
    parser.add_argument(
        "--workers", type=at_least(0), default=0, metavar="N", help="processes that read images (default: 0)"
    )
    parser.add_argument("--out", type=file_path, required=True, metavar="FILE", help="PNG file to write")
    add_json(parser)
    parser.set_defaults(run=_traverse)


def _traverse(args: argparse.Namespace) -> int:
    _check(args)
    import numpy as np  # these are heavy: torch and solo-learn
    from omegaconf import OmegaConf

    from pal_plugin.evaluation.traversal import check_latent, walk_latent
    from pal_plugin.methods import load_method
    from pal_plugin.sheet import write_traversal

    method, cfg = load_method(args.checkpoint)
    check_latent(method)
    dataset = _images(args, cfg)
    anchors, partners = _pairs(args, cfg, dataset)
    traversal = walk_latent(
        method,
        dataset,
        anchors.tolist(),
        partners.tolist(),
        shown=min(args.rows, len(anchors)),
        dimensions=args.dims,
        deviations=np.linspace(-args.reach, args.reach, args.steps).tolist() if args.steps > 1 else [args.reach],
        samples=args.samples,
        seed=args.seed,
        crop_size=OmegaConf.select(cfg, "augmentations[0].crop_size"),
        device=device_name(args.device),
        num_workers=args.workers,
    )
    where = f"{args.checkpoint}, {len(dataset):,} images of {dataset.name}/{dataset.split}"
    write_traversal(args.out, dataset, traversal, f"{cfg.method}, {where}; KL over {traversal.pairs:,} pairs.")
    if args.json:
        show(_figures(args, dataset, traversal), as_json=True)
    else:
        print(f"{traversal.finding()}.\nwritten to {args.out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    for option in ("rows", "dims", "steps"):
        if getattr(args, option) < 1:
            raise ConfigError(f"--{option} is {getattr(args, option)}", "Choose 1 or more")
    if args.samples < 0:
        raise ConfigError(f"--samples is {args.samples}", "Choose 0 or more")
    if not 0 < args.reach < float("inf"):
        raise ConfigError(f"--reach is {args.reach}", "Choose a number above 0")
    check_picture(args.out)


def _images(args: argparse.Namespace, cfg: DictConfig) -> ImageDataset:
    """Return the images that are shown: those of the training unless others are named."""
    from pal_plugin.data import dataset_from_config
    from pal_plugin.evaluation import merged_data
    from pal_plugin.host.config import plain

    own = plain(cfg)["data"]
    data = merged_data(own, name=args.data, root=args.root, options=args.options, val_fraction=args.val_fraction)
    if args.subset is None:
        return dataset_from_config(data, args.split)
    return dataset_from_config(data | {"subset": None}, args.split).subset(args.subset, data.get("subset_seed", 0))


def _pairs(
    args: argparse.Namespace, cfg: DictConfig, dataset: ImageDataset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return anchors, those to be shown first, and a partner of each."""
    import numpy as np

    from pal_plugin.data import check_reference
    from pal_plugin.data.draws import POSITIVE, uniforms
    from pal_plugin.graph import SimilarityGraph
    from pal_plugin.graph.inspect import choose_anchors
    from pal_plugin.graphs import make_graph

    trained = cfg.get("graph") or {}
    if args.graph is None and not trained:
        raise ConfigError(f"The checkpoint {args.checkpoint} says of no graph", "Name one by --graph")
    if args.graph is None:
        graph = make_graph(cfg.graph, dataset, num_workers=args.workers)
    else:
        graph = SimilarityGraph.load(args.graph)
    if graph.manifest is not None:
        check_reference(graph.manifest, dataset.manifest, what="The graph", path=args.graph or trained.get("path"))
    shown = choose_anchors(graph, args.rows, labels=dataset.labels, seed=args.seed)
    others = np.setdiff1d(choose_anchors(graph, _PAIRS, seed=args.seed), shown)
    anchors = np.concatenate([shown, others])
    u = uniforms(args.seed, 0, anchors, POSITIVE, 1)[:, 0]
    partners = graph.draw_positive(anchors, u, trained.get("draw", "uniform"))
    real = (partners >= 0) & (partners != anchors)
    if not real.any():
        raise ConfigError(
            f"The graph pairs no image of {dataset.name}/{dataset.split} with another",
            "Name another by --graph (`pal graph --help` has ways to make one)",
        )
    return anchors[real], partners[real]


def _figures(args: argparse.Namespace, dataset: ImageDataset, traversal: Traversal) -> dict[str, Any]:
    def retrieved(rows: NDArray[np.int64]) -> dict[str, Any]:
        return {"images": [dataset.ids[row] for row in rows], "distinct": len(set(rows.tolist()))}

    walks = [
        {
            "anchor": dataset.ids[walk.anchor],
            "partner": dataset.ids[walk.partner],
            "place": {"posterior": walk.place_posterior, "prior": walk.place_prior},
            "along": [
                {"dimension": dimension} | retrieved(row)
                for dimension, row in zip(traversal.dimensions, walk.along, strict=True)
            ],
            "drawn": retrieved(walk.drawn),
        }
        for walk in traversal.walks
    ]
    return {
        "checkpoint": str(args.checkpoint),
        "data": dataset.manifest.reference(),
        "pairs": traversal.pairs,
        "kl": traversal.kl.tolist(),
        "active_dims": traversal.active,
        "deviations": list(traversal.deviations),
        "distinct_mean": traversal.moves,
        "walks": walks,
        "finding": traversal.finding(),
        "file": str(args.out),
    }
