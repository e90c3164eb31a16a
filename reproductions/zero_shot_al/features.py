"""Stages `zero_shot_features` and `zero_shot_priors`: the pool in the space that decides, and how good that is."""

from __future__ import annotations

from pal_plugin.data import ImageDataset
from pal_plugin.evaluation import encode
from pal_plugin.graph import knn_graph, purity
from pal_plugin.host import load_backbone
from pal_plugin.io import write_json
from pal_plugin.priors import FeatureStore, embed, make_prior, save_features
from pal_plugin.train import MODEL, build
from reproductions.gps_ssl.names import BASELINE, run_folder
from reproductions.gps_ssl.settings import config
from reproductions.provenance import provenance
from reproductions.stage import run
from reproductions.zero_shot_al.names import PAPER, UNTRAINED, feature_folder, feature_result
from reproductions.zero_shot_al.settings import images

NEIGHBOURS = 4  # whose classes say how good features are


def main(profile: str, features: str) -> None:
    """Embed the pool by a run of GPS-SSL's stages, by a prior, or by the network before training."""
    pool, _ = images(profile)
    store = _stored(profile, features, pool)
    graph = knn_graph(store.features, NEIGHBOURS)
    content = {
        "paper": PAPER,
        "profile": profile,
        "features": features,
        "data": pool.name,
        "images": {"pool": len(pool)},
        "dimensions": int(store.features.shape[1]),
        "purity": round(purity(graph, pool.labels), 4),
        **provenance(),
    }
    write_json(feature_result(profile, features), content)


def _stored(profile: str, features: str, pool: ImageDataset) -> FeatureStore:
    folder = feature_folder(profile, features)
    if run_folder(profile, features).exists():
        network, _ = load_backbone(run_folder(profile, features) / MODEL)
    elif features == UNTRAINED:
        network = build(config(profile, "simclr", "flip_only", BASELINE, 0)).backbone
    else:
        return embed(pool, make_prior(features), out=folder)
    return save_features(folder, encode(network, pool), pool.manifest, {"source": features})


if __name__ == "__main__":
    run(main, "profile", "features")
