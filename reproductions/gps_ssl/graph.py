"""Stage `gps_graph`: the k nearest neighbours in the prior's space (exact, un-normalised L2, as the paper's)."""

from __future__ import annotations

import shutil

from pal_plugin.graph import knn_graph, purity
from pal_plugin.io import write_json
from pal_plugin.priors import load_features
from pal_plugin.sheet import write_graph_sheet
from reproductions.gps_ssl.names import PAPER
from reproductions.gps_ssl.settings import dataset
from reproductions.layout import artifacts, results
from reproductions.stage import run


def main(profile: str, k: int) -> None:
    """Build the k-NN graph of a profile, write how often its edges join images of one class, and draw some of them."""
    images = dataset(profile, "train")
    features = load_features(artifacts(profile, PAPER) / "features", images.manifest)
    graph = knn_graph(features.features, k, manifest=images.manifest)
    graph.save(artifacts(profile, PAPER) / "graph")
    shares = {
        "prior": features.info["prior"],
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "k": k,
        "purity": round(purity(graph, images.labels), 4),
    }
    write_json(results(profile, PAPER) / "graph.json", shares)
    picture, _ = write_graph_sheet(artifacts(profile, PAPER) / "sheet", graph, images)
    shutil.copyfile(picture, results(profile, PAPER).parent / f"{PAPER}_neighbours.png")


if __name__ == "__main__":
    run(main, "profile", "k")
