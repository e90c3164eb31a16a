"""Which images a measure is fitted on, chosen on and read on, and how they are kept apart."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data import ImageDataset, available_splits, dataset_from_config
from pal_plugin.data.sources import SOURCES
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.selection import read_samples

CHOICE_SHARE = 0.1
"""Share of the images to fit on that is held out for choosing, where there is no val split."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images, all labelled where a measure reads labels.

    Attributes:
        images: of the part.
        left_out: how many images of the split have no label and are not among them.
        parent: the part that these are rows of, so that features are made once.
        rows: which rows.
        labelled: whether a measure reads labels, and the images without one have been left out.
    """

    images: ImageDataset
    left_out: int = 0
    parent: Part | None = None
    rows: NDArray[np.int64] | None = None
    labelled: bool = True

    def take(self, rows: NDArray[np.int64], split: str | None = None) -> Part:
        """Return the rows `rows` as a part of this one."""
        return Part(self.images.take(rows, split), parent=self, rows=rows, labelled=self.labelled)

    def above(self) -> Part:
        """Return the images that have a class above their own as a part of this one, labelled by it.

        Raises:
            DataError: the data set has no such classes, or none of the images has one.
        """
        labels, names = self.images.known_coarse_labels, self.images.coarse_names
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            raise DataError(
                f"None of the images of {self.images.name}/{self.images.split} has a class above its own",
                "Evaluate on images that have",
            )
        part = self.take(rows)
        relabelled = dataclasses.replace(part.images, labels=labels[rows], class_names=names)
        return dataclasses.replace(part, images=relabelled)

    def describe(self) -> dict[str, Any]:
        """Return the manifest reference, `"unlabelled_left_out"` and, of a labelled part, how many each class has."""
        classes = {}
        if self.labelled:
            counts = np.bincount(self.images.labels, minlength=self.images.num_classes)
            classes = {name: int(count) for name, count in zip(self.images.class_names, counts, strict=True)}
        return {**self.images.manifest.reference(), "unlabelled_left_out": self.left_out, "classes": classes}


@dataclass(frozen=True)
class Choice:
    """Where something is chosen: fitted on `fit`, judged by `val`."""

    fit: Part
    val: Part


@dataclass(frozen=True)
class Parts:
    """The images of an evaluation.

    Attributes:
        read: what the figures that are reported are read from, once, after everything has been chosen.
        fit: what is fitted on; None where nothing is.
        choice: None where nothing is chosen.
    """

    read: Part
    fit: Part | None = None
    choice: Choice | None = None

    def above(self) -> Parts:
        """Return the same images, labelled by the classes above their own; see `Part.above`."""
        choice = self.choice and Choice(self.choice.fit.above(), self.choice.val.above())
        return Parts(self.read.above(), self.fit and self.fit.above(), choice)

    def describe(self) -> dict[str, Any]:
        """Return the description of every part, by its role."""
        roles = {"fit": self.fit, "read": self.read}
        if self.choice is not None:
            roles |= {"choice_fit": self.choice.fit, "choice_val": self.choice.val}
        return {role: part.describe() for role, part in roles.items() if part is not None}


@dataclass(frozen=True)
class Splits:
    """Which splits of a data set to use.

    Attributes:
        fit: the split to fit on.
        read: the split to read.
        fit_subset: how many labelled images of the former, stratified; None: what `data.subset` says, else all.
        label_fraction: share of the labelled images to fit on, of that subset if there is one.
        read_subset: how many labelled images of the latter.
        seed: of the samples.
        labelled: a file that names the images to fit on, see `pal_plugin.selection.read_samples`; those that it does
            not name are taken to have no label.
        label_budget: only the first so many of them.

    Raises:
        ConfigError: a fraction outside (0, 1], or samples both named and drawn.
    """

    fit: str = "train"
    read: str = "test"
    fit_subset: int | None = None
    label_fraction: float = 1.0
    read_subset: int | None = None
    seed: int = 0
    labelled: Path | None = None
    label_budget: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.label_fraction <= 1:
            raise ConfigError(
                f"A label fraction of {self.label_fraction} leaves nothing to fit on", "Use one above 0, up to 1"
            )
        if self.labelled is None and self.label_budget is not None:
            raise ConfigError(
                f"A label budget of {self.label_budget} says nothing of which images", "Name them as well: --labelled"
            )
        if self.labelled is not None and (self.fit_subset is not None or self.label_fraction < 1):
            raise ConfigError(
                f"{self.labelled} names the images to fit on, and others are to be drawn",
                "Leave out --fit-subset and --label-fraction; --label-budget takes the first of those named",
            )


def load_parts(
    data: Mapping[str, Any], splits: Splits, *, fit: bool = True, choose: bool = False, labelled: bool = True
) -> Parts:
    """Load what an evaluation needs.

    What is chosen is chosen on the val split. Where there is none (and `data.val_fraction` makes none), a stratified
    tenth of the images to fit on is held out for it, and given back for the fit that is reported. When val is what is
    read, it is also what is chosen on, and the figures favour what was chosen.

    Args:
        data: a `data` config group, see `pal_plugin.data.dataset_from_config`.
        splits: which splits.
        fit: whether anything is fitted.
        choose: whether anything is chosen.
        labelled: whether images without a label are left out; if not, `splits` counts all images as labelled.

    Raises:
        ConfigError: no such data set or split, or one split to fit on and to read.
        DataError: a data set that cannot be had, one without labels, or splits of different classes.
        SelectionError, ManifestError: see `pal_plugin.selection.read_samples`.
    """
    available = available_splits(data)
    for split in (splits.fit, splits.read) if fit else (splits.read,):
        if split not in available:
            raise ConfigError(f"{data['dataset']} has no split {split!r}", _other_splits(split, available))
    read = _load(data, splits.read, splits.read_subset, 1.0, splits.seed, labelled)
    if not fit:
        return Parts(read)
    if splits.fit == splits.read:
        raise ConfigError(
            f"The split {splits.read!r} is both fitted on and read", "Choose two different splits: --fit and --read"
        )
    if splits.labelled is None:
        fitted = _load(data, splits.fit, splits.fit_subset, splits.label_fraction, splits.seed, labelled)
    else:
        fitted = _named(data, splits.fit, splits.labelled, splits.label_budget, labelled)
    _same_classes(fitted, read)
    if not choose:
        return Parts(read, fitted)
    if splits.read == "val":
        print("pal eval: val is both chosen on and read: the figures favour what is chosen", file=sys.stderr)
        return Parts(read, fitted, Choice(fitted, read))
    if "val" in available and splits.fit != "val":
        val = _load(data, "val", None, 1.0, splits.seed, labelled)
        _same_classes(fitted, val)
        return Parts(read, fitted, Choice(fitted, val))
    return Parts(read, fitted, _held_out(fitted, splits.seed))


def _load(data: Mapping[str, Any], split: str, subset: int | None, fraction: float, seed: int, labelled: bool) -> Part:
    given = {**data, "subset": None} if subset is not None else data
    dataset = dataset_from_config(given, split)
    left_out = 0
    if labelled:
        dataset, left_out = _labelled(dataset, data)
    if subset is not None:
        dataset = dataset.subset(subset, seed)
    if fraction < 1:
        dataset = dataset.subset(max(1, round(fraction * len(dataset))), seed)
    return Part(dataset, left_out, labelled=labelled)


def _named(data: Mapping[str, Any], split: str, file: Path, budget: int | None, labelled: bool) -> Part:
    """Return the images of a split that a file names, in the split's order."""
    dataset = dataset_from_config(data, split)
    dataset, left_out = dataset.take(np.sort(read_samples(file, dataset.manifest, budget))), 0
    if labelled:
        dataset, left_out = _labelled(dataset, data)
    return Part(dataset, left_out, labelled=labelled)


def _labelled(dataset: ImageDataset, data: Mapping[str, Any]) -> tuple[ImageDataset, int]:
    """Return the images that have a label, and how many have none."""
    labelled = np.flatnonzero(dataset.labels >= 0)
    left_out = len(dataset) - len(labelled)
    where = f"{dataset.name}/{dataset.split}"
    if not len(labelled):
        told = (data.get("options") or {}).get("labelled") is False
        raise DataError(
            f"None of the {len(dataset)} images of {where} has a label{' (labelled=false)' if told else ''}, and "
            "evaluation compares with labels",
            "Add --option labelled=true, or name a labelled data set: --data folder --root DIR"
            if told
            else "Name a split with labels (--fit, --read) or a labelled data set (--data, --root)",
        )
    if left_out:
        dataset = dataset.take(labelled)
        print(f"pal eval: {left_out} images of {where} have no label and are left out", file=sys.stderr)
    return dataset, left_out


def _held_out(part: Part, seed: int) -> Choice:
    count = round(CHOICE_SHARE * len(part.images))
    if not 1 <= count < len(part.images):
        raise DataError(
            f"{len(part.images)} images are too few to hold some out for choosing",
            "Fit on more images, or give one value of each option instead of several",
        )
    ids = set(part.images.subset(count, seed).ids)
    held = np.array([sample in ids for sample in part.images.ids])
    return Choice(part.take(np.flatnonzero(~held)), part.take(np.flatnonzero(held), "val"))


def _same_classes(fit: Part, other: Part) -> None:
    mine, theirs = fit.images.class_names, other.images.class_names
    if mine != theirs:
        odd = sorted(set(mine) ^ set(theirs)) or ["their order"]
        raise DataError(
            f"{fit.images.name}/{fit.images.split} and {other.images.name}/{other.images.split} have different "
            f"classes: {', '.join(odd[:5])}",
            "Give both the same class folders; images of other classes can be read by retrieval",
        )


def _other_splits(split: str, available: tuple[str, ...]) -> str:
    hint = "; --val-fraction 0.1 holds a val split out of train" if "val" not in available else ""
    return f"Choose one of: {', '.join(available)}{hint}"


def merged_data(
    own: Mapping[str, Any] | None,
    *,
    name: str | None = None,
    root: Path | None = None,
    options: Mapping[str, Any] | None = None,
    val_fraction: float | None = None,
) -> dict[str, Any]:
    """Return the `data` config of an evaluation: the checkpoint's own, with what is said over it.

    The checkpoint's subset stays the images that it was trained on, whatever is drawn from them. Of the user's own
    formats (folder, arrays, h5) one that is named with another root is another data set; of a published one, and of one
    that is not named, the root is only the place where it is now.

    Args:
        own: the `data` group of the checkpoint's config; None where nothing is known of it.
        name: the data set; of another one the checkpoint's root, subset, options and hold-out say nothing.
        root: over the checkpoint's.
        options: over the checkpoint's, one by one.
        val_fraction: over the checkpoint's.

    Raises:
        ConfigError: nothing says which data set.
    """
    known = dict(own or {})
    config: dict[str, Any] = known if name is None or _same_data(known, name, root) else {"dataset": name}
    if not config.get("dataset"):
        raise ConfigError("Nothing says which images to evaluate on", "Name a data set, for example --data cifar10")
    if options is not None:
        options = {**(config.get("options") or {}), **options}
    said = {"root": root, "options": options, "val_fraction": val_fraction}
    return config | {key: value for key, value in said.items() if value is not None}


def _same_data(known: Mapping[str, Any], name: str, root: Path | None) -> bool:
    if name != known.get("dataset"):
        return False
    source = SOURCES.get(name)
    if root is None or source is None or not source.own_root:
        return True
    held = known.get("root")
    return held is not None and Path(held).expanduser().resolve() == Path(root).expanduser().resolve()
