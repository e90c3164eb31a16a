"""Stage `gps_data`: fetch the images, verify them, and write down which they are."""

from __future__ import annotations

from pal_plugin.io import write_json
from reproductions.gps_ssl.names import PAPER
from reproductions.gps_ssl.settings import dataset
from reproductions.layout import results
from reproductions.stage import run


def main(profile: str) -> None:
    """Fetch and verify the data set of a profile, and write its manifests."""
    manifests = {split: dataset(profile, split).manifest.reference() for split in ("train", "test")}
    write_json(results(profile, PAPER) / "data.json", manifests)


if __name__ == "__main__":
    run(main, "profile")
