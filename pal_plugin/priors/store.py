"""Feature stores: the embedding of a data set on disk, with the manifest of the data set that its rows index."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import (
    AnyArray,
    checksum,
    first_bad_row,
    nothing_at,
    read_array,
    read_json,
    refuse_altered,
    refuse_foreign_folder,
    write_array,
)
from pal_plugin.errors import FeatureError, ManifestError
from pal_plugin.io import atomic_folder

if TYPE_CHECKING:
    from pal_plugin.data.manifest import Manifest

FORMAT = 1
_AGAIN = "Embed the data set again (pal embed --help)"


@dataclass
class FeatureStore:
    """The features of a data set.

    Attributes:
        features: (N, D) float32, finite; memory-mapped and read-only when it comes from disk.
        manifest_reference: `{"name", "split", "size", "digest"}` of the data set; empty where a bare `.npy` has none.
        info: how they were made: `{"prior", "key", …}`.
    """

    features: npt.NDArray[np.float32]
    manifest_reference: dict[str, Any]
    info: dict[str, Any]


def save_features(
    folder: str | os.PathLike[str], features: AnyArray, manifest: Manifest, info: Mapping[str, Any]
) -> FeatureStore:
    """Write `features.npy` and `features.json` to `folder`, all or nothing.

    Args:
        folder: where to; an older feature store there is replaced.
        features: (N, D) float32, one row for each sample of the manifest, in its order.
        manifest: the data set.
        info: how the features were made, JSON only.

    Returns:
        The store, memory-mapped from `folder`.

    Raises:
        FeatureError: wrong shape or type, a NaN or infinity (its row is named), the folder holds other files, or it
            cannot be written (disk full).
    """
    target = Path(folder)
    _check(features, f"The features for {target}")
    if len(features) != len(manifest):
        raise FeatureError(f"There are {len(features)} rows of features and {len(manifest)} samples", _AGAIN)
    refuse_foreign_folder(target, "features.json", FeatureError)
    try:
        with atomic_folder(target) as temporary:
            write_array(temporary / "features.npy", features)
            text = description(features.shape, manifest, info, checksum(temporary / "features.npy"))
            (temporary / "features.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise FeatureError(
            f"The features cannot be written to {target}: {error}", "Free some space or choose another folder"
        ) from error
    return load_features(target)


def description(shape: tuple[int, ...], manifest: Manifest, info: Mapping[str, Any], crc32: int) -> str:
    """Return the text of `features.json`; `crc32` is the checksum of the file `features.npy`."""
    about = {"shape": list(shape), "crc32": {"features": crc32}, "manifest": manifest.reference(), "info": dict(info)}
    record = {"format": FORMAT, **about}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def load_features(path: str | os.PathLike[str], manifest: Manifest | None = None) -> FeatureStore:
    """Read features, memory-mapped, and check that they are those of the data set at hand.

    Args:
        path: a folder that `save_features` wrote, or any `.npy` file with one row of real numbers for each sample.
            A bare `.npy` says nothing of its data set: only the number of rows can be checked, and a warning says so.
        manifest: the data set at hand; None skips the comparison.

    Raises:
        FeatureError: a file is missing, truncated, altered, of another format or type, or a row holds a NaN or an
            infinity.
        ManifestError: the features are those of another data set.
    """
    place = Path(path)
    if not place.exists():
        pattern = "*.npy" if place.suffix == ".npy" else "*/features.json"
        raise nothing_at(place, "There are no features", pattern, FeatureError, "Make them (pal embed --help)")
    folder = place.parent if place.name == "features.npy" and place.with_name("features.json").is_file() else place
    if folder.suffix == ".npy" and not folder.is_dir():
        return _load_bare(folder, manifest)
    if not (folder / "features.json").exists():
        raise FeatureError(f"{folder} is no feature store: there is no features.json in it", _AGAIN)
    record = read_json(folder / "features.json", FeatureError, _AGAIN)
    if record.get("format") != FORMAT:
        raise FeatureError(
            f"{folder} has the feature format {record.get('format')!r}; this pal_plugin reads format {FORMAT}", _AGAIN
        )
    features = read_array(folder / "features.npy", FeatureError, _AGAIN)
    _check(features, str(folder))  # first: it names the row
    refuse_altered(folder, record, FeatureError, _AGAIN)
    reference = record.get("manifest")
    if list(features.shape) != record.get("shape") or not isinstance(reference, dict):
        raise FeatureError(
            f"{folder}: features.npy of shape {features.shape} and features.json do not belong together", _AGAIN
        )
    if manifest is not None:
        from pal_plugin.data.manifest import check_reference  # heavy: the room brings torch

        check_reference(reference, manifest, what="The feature store", path=folder)
    return FeatureStore(features, reference, record.get("info") or {})


def _load_bare(path: Path, manifest: Manifest | None) -> FeatureStore:
    features = read_array(path, FeatureError, "Write it with numpy.save(path, features)")
    if features.dtype.kind == "f" and features.dtype != np.float32:
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite and is refused below
            features = features.astype(np.float32)
    _check(features, str(path))
    if manifest is not None:
        if len(features) != len(manifest):
            raise ManifestError(
                f"{path} has {len(features)} rows and {manifest.name}/{manifest.split} {len(manifest)} samples",
                "Pass the features of this data set, split and subset",
            )
        warnings.warn(f"{path} names no data set: its rows are taken to be those of {manifest.name}", stacklevel=3)
    return FeatureStore(features, {}, {"source": str(path)})


def _check(features: AnyArray, what: str) -> None:
    if features.ndim != 2 or features.dtype != np.float32 or 0 in features.shape:
        raise FeatureError(f"{what}: expected (N, D) float32, found {features.dtype} of shape {features.shape}", _AGAIN)
    bad = first_bad_row(features)
    if bad is not None:
        raise FeatureError(f"{what}: row {bad} holds a NaN or infinity", _AGAIN)
