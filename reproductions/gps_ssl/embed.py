"""Stage `gps_embed`: the training images in the prior's space."""

from __future__ import annotations

from pal_plugin.priors import embed, make_prior
from reproductions.gps_ssl.names import PAPER
from reproductions.gps_ssl.settings import dataset
from reproductions.layout import artifacts
from reproductions.stage import run


def main(profile: str, prior: str) -> None:
    """Embed the training images of a profile with a prior."""
    embed(dataset(profile, "train"), make_prior(prior), out=artifacts(profile, PAPER) / "features")


if __name__ == "__main__":
    run(main, "profile", "prior")
