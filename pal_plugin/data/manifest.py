"""What a data set is: the ordered ids of its samples, a hash of their content, and the split."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from pal_plugin.errors import ManifestError

BY_FEATURES = "`pal embed`, then `pal graph knn`"
"""How a graph of neighbours is made, for messages."""


@dataclass(frozen=True)
class Manifest:
    """The identity of a data set; features, graphs and picks carry a reference to the one they index.

    Attributes:
        name: the data set's name, for messages; it is no part of the identity.
        split: `"train"`, `"test"` or whatever the data set calls its parts.
        ids: one id a sample, in order.
        content: SHA-256, in hexadecimal, over the samples' bytes in order.
    """

    name: str
    split: str
    ids: tuple[str, ...]
    content: str

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over split, ids (in order) and content."""
        text = json.dumps([self.split, self.ids, self.content], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def reference(self) -> dict[str, str | int]:
        """Return the compact form that goes into JSON files: name, split, size and digest."""
        return {"name": self.name, "split": self.split, "size": len(self), "digest": self.digest}


def check_reference(
    reference: object,
    manifest: Manifest,
    *,
    what: str,
    path: str | os.PathLike[str] | None = None,
    made_by: str = BY_FEATURES,
) -> None:
    """Refuse features, a graph or picks that were made for another data set than the one at hand.

    Args:
        reference: what the file says it indexes, from `Manifest.reference`; a file may hold anything in its place.
        manifest: the data set at hand.
        what: what carries the reference, for the message (`"The graph"`).
        path: where it was read from; None for something that was never on disk.
        made_by: how such a thing is made, for the message.

    Raises:
        ManifestError: the digests differ, or the reference has none or is no mapping.
    """
    said = reference if isinstance(reference, Mapping) else {}
    if said.get("digest") == manifest.digest:
        return
    place = "" if path is None else f" in {os.fspath(path)}"
    raise ManifestError(
        f"{what}{place} indexes {_describe(said)}, but the data set at hand is {_describe(manifest.reference())}",
        f"Make it again from the data set at hand ({made_by}), "
        "or load the data set, split, subset and seed that it was made from",
    )


def _describe(reference: Mapping[str, object]) -> str:
    if "digest" not in reference:
        return "a data set it does not name (its manifest has no digest)"
    name, split, size = (reference.get(key, "?") for key in ("name", "split", "size"))
    return f"{name}/{split} with {size} samples (digest {str(reference['digest'])[:12]})"
