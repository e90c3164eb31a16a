"""Stage `gps_prior`: k-NN and linear probe of the prior itself, to stand beside every result that uses it."""

from __future__ import annotations

import time

from pal_plugin.io import write_json
from pal_plugin.priors import embed, load_features, make_prior, ready
from reproductions.evaluation import scores
from reproductions.gps_ssl.names import PAPER
from reproductions.gps_ssl.settings import dataset
from reproductions.layout import artifacts, results
from reproductions.provenance import provenance
from reproductions.stage import run

TEST_IMAGES = 2000  # of the test split, stratified: a prior is ten times as slow as the networks that are trained


def main(profile: str, prior: str) -> None:
    """Probe the prior: fitted on the training images, read on 2000 test images."""
    begun = time.monotonic()
    train, test = dataset(profile, "train"), dataset(profile, "test")
    test = test.subset(min(TEST_IMAGES, len(test)), 0)
    bank = load_features(artifacts(profile, PAPER) / "features", train.manifest).features
    queries = embed(test, ready(make_prior(prior), train)).features
    content = {
        "paper": PAPER,
        "profile": profile,
        "prior": prior,
        "data": train.name,
        "images": {"train": len(train), "test": len(test)},
        "metrics": scores(bank, train.labels, queries, test.labels),
        "wall_s": round(time.monotonic() - begun, 1),
        **provenance(),
    }
    write_json(results(profile, PAPER) / "prior.json", content)


if __name__ == "__main__":
    run(main, "profile", "prior")
