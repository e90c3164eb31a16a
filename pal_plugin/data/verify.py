"""What `pal data get` and `pal data verify` do: bring the files, check them all, and say what a data set holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.lazy import LazyImages, undecodable
from pal_plugin.data.sources import available_splits, bring, load_dataset
from pal_plugin.errors import ImageError

_NAMED = 10


def verify(name: str, root: Path | None, options: Mapping[str, Any], source: str = "auto") -> dict[str, Any]:
    """Bring the published files where there are any and they are not there, check them, and read every split whole.

    Args:
        name: see `load_dataset`.
        root: likewise.
        options: likewise.
        source: where published files may come from, see `pal_plugin.data.fetch.fetch`; `"folder"`: they must be there.

    Returns:
        `data`; `folder`, of published files; `classes`; and of every split its size and the digest of its manifest.

    Raises:
        ConfigError, DataError, ChecksumError: see `load_dataset`.
        ImageError: images cannot be decoded; the message names the first ten.
    """
    figures: dict[str, Any] = {"data": name}
    folder = bring(name, root, source)
    if folder is not None:
        figures["folder"] = str(folder)
    for split in available_splits({"dataset": name, "root": root, "options": options}):
        dataset = load_dataset(name, split, root=root, options=options)
        _check_images(dataset)
        figures["classes"] = dataset.num_classes
        figures |= {split: len(dataset), f"{split}_digest": dataset.manifest.digest}
    return figures


def _check_images(dataset: ImageDataset) -> None:
    if not isinstance(dataset.images, LazyImages):
        return
    bad = undecodable(dataset.images)
    if bad:
        named = "; ".join(error.what for error in list(bad.values())[:_NAMED])
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        which = f"{len(bad)} of the {len(dataset)} images of {dataset.name}/{dataset.split}"
        raise ImageError(
            f"{which} cannot be decoded: {named}{more}",
            next(iter(bad.values())).mend,
        )
