"""What all selectors have in common: their arguments, checked, and earlier picks that come first."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator

from pal_plugin.arrays import AnyArray
from pal_plugin.errors import ConfigError, DeviceError, ManifestError, SelectionError
from pal_plugin.graph.similarity import Manifested, reference_of
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.parameters import check_parameters
from pal_plugin.selection.points import checked_matrix
from pal_plugin.selection.result import MADE_BY, Selection

Picks: TypeAlias = npt.ArrayLike | Selection


@dataclass(frozen=True)
class Task:
    """A selection to be made, checked.

    Attributes:
        features: (N, D) of all samples.
        budget: how many picks.
        candidates: (n,) which samples can be picked, ascending; none of them is labelled.
        labelled: (L,) samples that are labelled already, in the order given.
        labels: (N,) classes of all samples, or None.
        earlier: how many of `labelled`, its last ones, are the picks of an earlier selection that this one goes on
            from.
    """

    features: AnyArray
    budget: int
    candidates: Longs
    labelled: Longs
    labels: AnyArray | None
    earlier: int


class Selector(BaseEstimator, ABC):  # type: ignore[misc]
    """An order of the samples in which to label them; parameters as in scikit-learn (`get_params`, `clone`).

    Every selector is deterministic for its `seed`, and the picks for a budget are a prefix of those for a larger one.
    """

    def select(
        self,
        X: npt.ArrayLike,
        budget: int | float,
        *,
        labelled: Picks | None = None,
        candidates: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        after: Selection | None = None,
        manifest: Mapping[str, Any] | Manifested | None = None,
    ) -> Selection:
        """Return `budget` picks in order.

        Args:
            X: (N, D) features of all samples, real numbers of any type.
            budget: how many picks: a whole number, or a float in (0, 1] as a share of N (rounded).
            labelled: samples that are labelled already, as indices or as a Selection: they are not picked again.
            candidates: which samples can be picked, as indices or as a mask (N,); all of them by default. Labelled ones
                are left out.
            labels: (N,) the class of every sample, for selectors that balance classes.
            after: an earlier selection to go on from, on the same features or with rows appended to them; its picks
                come first and count in the budget. Its radii are kept where it is of the same task: by the same
                selector, of as many samples, with the same labelled ones and candidates. Otherwise they are NaN.
            manifest: the data set of the rows, as a manifest or its reference; kept in the selection.

        Raises:
            FeatureError: the features are no (N, D) array of real numbers, or row i holds a NaN or infinity.
            SelectionError: a budget below 0 or above what can be picked; indices outside the pool, repeated, or of the
                wrong type; labels of another length or missing.
            ManifestError: `labelled` or `after` index another data set.
            ConfigError: a parameter of the selector that does not exist or fit.
            DeviceError: a device that is not there.
        """
        check_parameters(self)
        features = checked_matrix(X)
        reference = reference_of(manifest)
        check_picks("labelled", labelled, reference)
        check_picks("after", after, reference)
        count = checked_budget(budget, len(features))
        known = checked_indices("labelled", labelled, len(features))
        earlier = checked_indices("after", after, len(features))
        allowed = np.ones(len(features), dtype=bool) if candidates is None else _mask(candidates, len(features))
        allowed[known] = False
        made_by = about(self, known, allowed)
        if count > np.count_nonzero(allowed) + np.count_nonzero(~allowed[earlier]):
            raise SelectionError(
                f"The budget is {count}, but only {np.count_nonzero(allowed)} of {len(features)} samples can be picked",
                "Choose a smaller budget, or more candidates",
            )
        allowed[earlier] = False
        classes = None if labels is None else _classes(labels, len(features))
        first = earlier[:count]
        before = np.concatenate([known, first])
        task = Task(features, count - len(first), np.flatnonzero(allowed), before, classes, len(first))
        indices, radii = self._order(task)
        if radii is not None:
            radii = np.concatenate([_radii_before(after, len(first), made_by, len(features)), radii])
        return Selection(np.concatenate([first, indices]), radii, reference, made_by, len(features))

    @abstractmethod
    def _order(self, task: Task) -> tuple[Longs, Doubles | None]:
        """Return (budget,) picks, and the covering radius at each prefix where it is known."""


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; `"auto"` is a GPU where there is one.

    Raises:
        ConfigError: unknown device.
        DeviceError: a GPU was asked for and there is none.
    """
    kind = str(name).partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"Selectors do not run on the device {name!r}", "Choose auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("A GPU was asked for and torch sees none", "Use device=cpu or auto, or see: pal doctor")
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError as error:
        raise ConfigError(f"There is no device {name!r}", "Choose auto, cpu, cuda or cuda:1") from error


def about(selector: Selector, labelled: Longs, allowed: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return what a selection says of how it was made, in plain numbers: see `Selection.selector`.

    Args:
        selector: what picks.
        labelled: (L,) samples that are labelled already.
        allowed: (N,) which samples can be picked.
    """
    values = {key: value for key, value in selector.get_params().items() if not callable(value)}
    parameters = {
        key: value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value for key, value in values.items()
    }
    found: dict[str, Any] = {"name": type(selector).__name__, "parameters": parameters}
    if not allowed.all():
        found["pool"] = hashlib.sha256(np.sort(labelled).tobytes() + allowed.tobytes()).hexdigest()
    return found


def check_picks(name: str, picks: Picks | None, reference: Mapping[str, Any] | None) -> None:
    """Refuse picks of another data set; those of `after` may be of one that rows have been appended to since.

    Args:
        name: of the argument, for the message.
        picks: what was given; only a Selection says what it indexes.
        reference: of the data set at hand.

    Raises:
        ManifestError: the picks index another data set.
    """
    theirs = picks.manifest if isinstance(picks, Selection) else None
    if theirs is not None and reference is not None and theirs["digest"] != reference["digest"]:
        same = (theirs["name"], theirs["split"]) == (reference["name"], reference["split"])
        if name == "after" and same and theirs["size"] < reference["size"]:
            return  # rows were appended
        raise ManifestError(
            f"{name} indexes {theirs['name']}/{theirs['split']} with {theirs['size']} samples, "
            f"the features {reference['name']}/{reference['split']} with {reference['size']}",
            f"Select from the data set that the picks were made of, or make them again ({MADE_BY})",
        )


def checked_budget(budget: object, samples: int) -> int:
    """Return a budget as a number of samples.

    Raises:
        SelectionError: it is neither a whole number from 0 to `samples` nor a share in (0, 1].
    """
    if isinstance(budget, (float, np.floating)) and 0 < budget <= 1:
        return round(float(budget) * samples)
    if isinstance(budget, (bool, np.bool_)) or not isinstance(budget, (int, np.integer)):
        raise SelectionError(
            f"The budget {budget!r} is no number of samples", "Give a whole number, or a share in (0, 1]"
        )
    if not 0 <= budget <= samples:
        raise SelectionError(f"The budget {budget} is not between 0 and the {samples} samples", "Choose another")
    return int(budget)


def checked_indices(name: str, picks: Picks | None, samples: int) -> Longs:
    """Return distinct indices of samples, in the order given.

    Raises:
        SelectionError: not whole numbers, outside the pool, or repeated.
    """
    array = np.asarray([] if picks is None else picks.indices if isinstance(picks, Selection) else picks)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise SelectionError(
            f"{name} must be a vector of indices, found {array.dtype} of shape {array.shape}", "Pass whole numbers"
        )
    indices = array.astype(np.int64)
    outside = (indices < 0) | (indices >= samples)
    if outside.any():
        raise SelectionError(f"{name} names sample {indices[outside][0]}, but there are {samples}", "Count from 0")
    values, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        raise SelectionError(f"{name} names sample {values[counts > 1][0]} twice", "Name every sample once")
    return indices


def _mask(candidates: npt.ArrayLike, samples: int) -> npt.NDArray[np.bool_]:
    array = np.asarray(candidates)
    if array.dtype == bool:
        if array.shape != (samples,):
            raise SelectionError(
                f"The mask of candidates has shape {array.shape} for {samples} samples", "Pass one a row"
            )
        return array.copy()
    mask = np.zeros(samples, dtype=bool)
    mask[checked_indices("candidates", array, samples)] = True
    return mask


def _classes(labels: npt.ArrayLike, samples: int) -> AnyArray:
    array = np.asarray(labels)
    if array.shape != (samples,) or array.dtype.kind not in "iu":
        raise SelectionError(
            f"Labels must be one whole number a sample, found {array.dtype} of shape {array.shape} for {samples}",
            "Pass the class of every row",
        )
    return array


def _radii_before(after: Selection | None, count: int, made_by: Mapping[str, Any], samples: int) -> Doubles:
    """Return the radii of earlier picks; NaN where they are of another pool or distance."""
    if after is None or after.radii is None or after.samples != samples or after.selector != made_by:
        return np.full(count, np.nan)
    return after.radii[:count]
