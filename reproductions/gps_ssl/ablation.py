"""Stage `gps_ablation`: GPS-SimCLR under a flip on the graph of another prior or another k, from graph to result.

One stage a run, because features and graph are cheap beside the training and features are kept by content.
"""

from __future__ import annotations

from pal_plugin.graph import knn_graph, label_graph, purity
from pal_plugin.io import write_json
from pal_plugin.priors import embed, make_prior
from reproductions.evaluation import evaluated
from reproductions.gps_ssl.ablated import AUGMENTATION, METHOD, parsed
from reproductions.gps_ssl.names import GPS, LABELS, PAPER, ablation_result
from reproductions.gps_ssl.settings import config, dataset
from reproductions.layout import artifacts, scratch
from reproductions.pretraining import pretrain
from reproductions.stage import named, run


def main(profile: str, graph: str, seed: int) -> None:
    """Build the graph called PRIOR-kK, pretrain on it, and evaluate."""
    prior, k = named(parsed, graph, "lite0-k16, PRIOR-kK")
    images = dataset(profile, "train")
    if prior == LABELS:
        neighbours = label_graph(images.labels, k, manifest=images.manifest)
    else:
        neighbours = knn_graph(embed(images, make_prior(prior)).features, k, manifest=images.manifest)
    name = f"{graph}-{seed}"
    path = neighbours.save(scratch(profile, PAPER) / "graphs" / graph)
    cfg = config(profile, METHOD, AUGMENTATION, GPS, seed, graph=path)
    folder = artifacts(profile, PAPER) / "ablation" / name
    pretrain(cfg, scratch(profile, PAPER) / name, folder)
    content = {
        "arm": GPS,
        "augmentation": AUGMENTATION,
        "prior": prior,
        "k": k,
        "purity": round(purity(neighbours, images.labels), 4),
    }
    write_json(ablation_result(profile, graph, seed), content | evaluated(cfg, PAPER, folder))


if __name__ == "__main__":
    run(main, "profile", "graph", "seed", trains=True)
