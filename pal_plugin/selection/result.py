"""An order of samples to label, with the radius at each prefix, and its file."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import read_json
from pal_plugin.data.manifest import Manifest, check_reference
from pal_plugin.errors import ManifestError, SelectionError
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.io import atomic_path, write_json

FORMAT = 1
MADE_BY = "`pal select`"
_AGAIN = f"Make it again ({MADE_BY})"
_REFERENCE = {"name": str, "split": str, "size": int, "digest": str}  # see `Manifest.reference`


@dataclass(frozen=True)
class Selection:
    """Samples in the order in which to label them: the first k are the selection for the budget k.

    Attributes:
        indices: (b,) int64, distinct.
        radii: (b,) float64 or None: the covering radius of each prefix, the largest distance from any sample that could
            still be picked to the nearest of the prefix and of what was labelled before. Euclidean distance; between
            directions for the cosine metric. NaN where it is not known.
        manifest: the reference of the data set that is indexed, see `Manifest.reference`.
        selector: what made it: `{"name": …, "parameters": …}`, and where not all samples could be picked "pool": a hash
            of those labelled before and of those that could be.
        samples: N, of the pool; None where it is not known.
    """

    indices: Longs
    radii: Doubles | None = None
    manifest: Mapping[str, Any] | None = None
    selector: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def prefix(self, budget: int) -> Selection:
        """Return the first `budget` picks.

        Raises:
            SelectionError: there are fewer.
        """
        if not 0 <= budget <= len(self):
            raise SelectionError(f"A selection of {len(self)} has no prefix of {budget}", "Select more")
        radii = None if self.radii is None else self.radii[:budget]
        return Selection(self.indices[:budget], radii, self.manifest, self.selector, self.samples)

    @property
    def lower_bounds(self) -> Doubles:
        """(b,) what no choice of as many samples can go below: half the radius at each prefix (Gonzalez 1985).

        For picks farthest first only: the picks of a prefix and the farthest sample after it are all a radius apart,
        and whatever covers them all covers two of them from one centre. So the radius is at most twice the best one.
        NaN from the first prefix on whose radius is not known, since nothing says how far apart its picks are; and NaN
        throughout where the picks are balanced, since those of different classes may be near to each other.

        Raises:
            SelectionError: these picks have no radii.
        """
        if self.radii is None:
            raise SelectionError("These picks have no radii", "Select by KCenterGreedy")
        if self.selector.get("parameters", {}).get("balanced"):
            return np.full(len(self), np.nan)
        # The least so far: picks after others are trimmed anew (trim), and their radii may then be larger than before.
        return np.asarray(np.minimum.accumulate(self.radii) / 2)

    def budget_for(self, radius: float) -> int:
        """Return the smallest budget whose covering radius is at most `radius`.

        Raises:
            SelectionError: no prefix has, or these picks have no radii.
        """
        if self.radii is None or not (self.radii <= radius).any():
            raise SelectionError(f"No prefix of these {len(self)} picks has the radius {radius:g}", "Select more")
        return int(np.argmax(self.radii <= radius)) + 1

    def save(
        self, path: str | os.PathLike[str], *, ids: Sequence[str] | None = None, labels: npt.ArrayLike | None = None
    ) -> None:
        """Write the picks as CSV (`rank,index,id,radius`, and `label`), and beside it as JSON what they index.

        Two files cannot be replaced at once, and a process may be killed in between. So the new JSON waits beside the
        old one until the CSV is there, and `load` takes the one that describes the CSV.

        Args:
            path: `picks.csv`; `picks.json` is written with it, which holds the ids of the picks, in order, as well.
            ids: of all samples of the data set; without them the column stays empty.
            labels: of all samples; without them there is no such column.

        Raises:
            SelectionError: the file's name does not end in `.csv`, or there are too few ids or labels.
        """
        target = Path(path)
        if target.suffix != ".csv":
            raise SelectionError(f"{target} is no name for picks", "Let it end in .csv")
        text = self._table(ids, None if labels is None else np.asarray(labels))
        about = {
            "format": FORMAT,
            "picks": _digest(text.encode()),
            "manifest": None if self.manifest is None else dict(self.manifest),
            "selector": dict(self.selector),
            "samples": self.samples,
            "ids": None if ids is None else [ids[index] for index in self.indices.tolist()],
        }
        _settle(target)  # of a save that was cut off: its JSON may be the one that describes the CSV
        try:
            write_json(_waiting(target), about)
            with atomic_path(target) as temporary:
                temporary.write_bytes(text.encode())
        finally:
            _settle(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str], manifest: Manifest | None = None) -> Selection:
        """Read what `save` wrote.

        Args:
            path: the CSV file.
            manifest: the data set at hand; the picks must index it.

        Raises:
            SelectionError: a file is missing or malformed, or the two do not belong together.
            ManifestError: the picks index another data set, or do not say which.
        """
        source = Path(path)
        text = _text(source)
        digest = _digest(text.encode())
        described = _waiting(source) if _describes(_waiting(source), digest) else source.with_suffix(".json")
        about = read_json(described, SelectionError, _AGAIN)
        if about.get("format") != FORMAT:
            raise SelectionError(
                f"{described} is of the format {about.get('format')!r}; this pal_plugin reads format {FORMAT}", _AGAIN
            )
        if about.get("picks") != digest:
            raise SelectionError(f"{source} is not the file that {source.with_suffix('.json')} describes", _AGAIN)
        _check_parts(about, described)
        reference = about.get("manifest")
        if manifest is not None:
            if reference is None:
                raise ManifestError(f"The picks in {source} do not say which data set they index", _AGAIN)
            check_reference(reference, manifest, what="The selection", path=source, made_by=MADE_BY)
        indices, radii = _columns(source, text)
        return cls(indices, radii, reference, about.get("selector") or {}, about.get("samples"))

    def _table(self, ids: Sequence[str] | None, labels: npt.NDArray[Any] | None) -> str:
        for name, values in (("ids", ids), ("labels", labels)):
            if values is not None and len(self) and len(values) <= int(self.indices.max()):
                raise SelectionError(
                    f"There are {len(values)} {name}, too few for these picks", "Pass those of all samples"
                )
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["rank", "index", "id", "radius"] + ([] if labels is None else ["label"]))
        for rank, index in enumerate(self.indices.tolist()):
            radius = "" if self.radii is None or np.isnan(self.radii[rank]) else repr(float(self.radii[rank]))
            row = [rank, index, "" if ids is None else ids[index], radius]
            writer.writerow(row if labels is None else [*row, labels[index]])
        return out.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _waiting(target: Path) -> Path:
    """Return where the JSON of new picks waits for their CSV."""
    return target.with_name(f".{target.stem}.json.new")


def _describes(file: Path, digest: str) -> bool:
    """Return whether a JSON file is there, and is of the CSV with that hash."""
    with contextlib.suppress(SelectionError, OSError):
        return file.exists() and read_json(file, SelectionError, _AGAIN).get("picks") == digest
    return False


def _check_parts(about: Mapping[str, Any], file: Path) -> None:
    """Refuse a description with a part of another type than `save` writes."""
    manifest, selector, samples = (about.get(key) for key in ("manifest", "selector", "samples"))
    named = isinstance(manifest, dict) and all(isinstance(manifest.get(key), kind) for key, kind in _REFERENCE.items())
    told = isinstance(selector, dict) and isinstance(selector.get("parameters", {}), dict)
    counted = isinstance(samples, int)
    for key, fits in (("manifest", named), ("selector", told), ("samples", counted)):
        if not fits and about.get(key) is not None:
            raise SelectionError(f"{file} has {key}={about[key]!r}, which {MADE_BY} does not write", _AGAIN)


def _settle(target: Path) -> None:
    """Let the JSON that waits take its place where its CSV has done so, and remove it where not."""
    waiting = _waiting(target)
    if not waiting.exists():
        return
    if target.is_file() and _describes(waiting, _digest(target.read_bytes())):
        waiting.replace(target.with_suffix(".json"))
    else:
        waiting.unlink()


def _text(source: Path) -> str:
    try:
        return source.read_bytes().decode()
    except (OSError, ValueError) as cause:
        raise SelectionError(f"{source} is missing or not text: {cause}", _AGAIN) from cause


def _columns(source: Path, text: str) -> tuple[Longs, Doubles | None]:
    try:
        rows = [(int(row["rank"]), int(row["index"]), row["radius"]) for row in csv.DictReader(io.StringIO(text))]
        radii = np.array([float(radius) if radius else np.nan for _, _, radius in rows])
        indices = np.array([index for _, index, _ in rows], dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as cause:
        raise SelectionError(f"{source} is no file of picks: {cause!r}", _AGAIN) from cause
    if [rank for rank, _, _ in rows] != list(range(len(rows))) or len(np.unique(indices)) != len(indices):
        raise SelectionError(f"{source} is no file of picks: ranks are not in order or a sample is there twice", _AGAIN)
    if (indices < 0).any():
        raise SelectionError(f"{source} is no file of picks: it names sample {indices.min()}", _AGAIN)
    return indices, None if np.isnan(radii).all() and len(radii) else radii
