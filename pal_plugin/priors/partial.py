"""Features that are being made: rows on disk, so that a killed embedding goes on where it was."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin import io
from pal_plugin.arrays import read_json
from pal_plugin.errors import FeatureError
from pal_plugin.io import replace_folder, write_json

_RECORD_EVERY_S = 1.0


class PartialFeatures:
    """The first rows of the features of a data set, in the folder `.NAME.partial` beside the store-to-be.

    `features.npy` there has the header of the whole array and grows; `partial.json` says what the rows are made from
    and how many of them are safely on disk. Rows beyond those are made again, so a crash at any moment costs a few
    seconds' work; nothing is held in memory.

    Args:
        target: the folder of the store-to-be.
        total: how many rows there will be.
        made_from: all that the rows depend on; JSON only.

    Attributes:
        rows: how many there are.
        dimensions: how many numbers a row has; None before the first.

    Raises:
        FeatureError: the folder holds rows that are made from something else, or is damaged.
    """

    def __init__(self, target: Path, total: int, made_from: Mapping[str, Any]) -> None:
        self.folder = target.with_name(f".{target.name}.partial")
        self.rows = 0
        self.dimensions: int | None = None
        self._target = target
        self._total = total
        self._made_from = dict(made_from)
        self._recorded_at = -np.inf
        if (self.folder / "partial.json").exists():
            self._continue()
        else:
            self.discard()  # killed before the first rows were safe

    def append(self, features: npt.NDArray[np.float32]) -> None:
        """Add (B, D) rows.

        Raises:
            FeatureError: they cannot be written (disk full); the rows before are kept.
        """
        with _writing(self._target):
            if self.dimensions is None:
                self._begin(features.shape[1])
            with self.file.open("ab") as file:  # and no memory map: on a full disk that ends in a bus error
                file.write(np.ascontiguousarray(features, dtype="<f4").reshape(-1).view(np.uint8).data)
            self.rows += len(features)
            if self.rows == self._total or time.monotonic() - self._recorded_at >= _RECORD_EVERY_S:
                _sync(self.file)
                record = {"rows": self.rows, "dimensions": self.dimensions, "made_from": self._made_from}
                write_json(self.folder / "partial.json", record)
                self._recorded_at = time.monotonic()

    def finish(self, description: str) -> None:
        """Write `description` as `features.json` and put the folder in the place of the store-to-be.

        Raises:
            FeatureError: that cannot be written; the rows are kept.
        """
        with _writing(self._target):
            (self.folder / "features.json").write_text(description, encoding="utf-8")
            _sync(self.folder / "features.json")
            replace_folder(self.folder, self._target)
            (self._target / "partial.json").unlink()

    def discard(self) -> None:
        """Remove all rows."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def file(self) -> Path:
        """The rows so far."""
        return self.folder / "features.npy"

    def _begin(self, dimensions: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (self._total, dimensions)}
            np.lib.format.write_array_header_1_0(file, header)
        self.dimensions = dimensions

    def _continue(self) -> None:
        mend = f"Delete {self.folder} to begin again"
        record = read_json(self.folder / "partial.json", FeatureError, mend)
        rows, dimensions, found = (record.get(key) for key in ("rows", "dimensions", "made_from"))
        if not (isinstance(rows, int) and isinstance(dimensions, int) and isinstance(found, dict)):
            raise FeatureError(f"{self.folder / 'partial.json'} is damaged", mend)
        differing = [key for key, value in self._made_from.items() if found.get(key) != value]
        if differing:
            raise FeatureError(
                f"{self.folder} holds the first {rows} rows of an embedding that was stopped and had another "
                f"{' and '.join(differing)}",
                f"Go on with what it was begun with, delete that folder, or write elsewhere than to {self._target}",
            )
        self._cut(rows, dimensions, mend)
        for path in self.folder.iterdir():
            if path.name not in ("features.npy", "partial.json"):  # a record that a kill left half-written
                path.unlink()
        self.rows, self.dimensions = rows, dimensions

    def _cut(self, rows: int, dimensions: int, mend: str) -> None:
        """Drop what was written after the last record."""
        try:
            with self.file.open("r+b") as file:
                np.lib.format.read_magic(file)
                shape, _, _ = np.lib.format.read_array_header_1_0(file)
                end = file.tell() + 4 * rows * dimensions
                if shape != (self._total, dimensions) or file.seek(0, os.SEEK_END) < end:
                    raise ValueError(f"it does not hold {rows} of {self._total} rows")
                file.truncate(end)
        except (OSError, ValueError) as error:
            raise FeatureError(f"{self.file} is missing or damaged: {error}", mend) from error


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Hold the lock of a store-to-be, see `io.alone`.

    Raises:
        FeatureError: the folder of `target` cannot be written to.
    """
    with contextlib.ExitStack() as held:
        with _writing(target):  # but not what the caller does meanwhile
            held.enter_context(io.alone(target, f"Another process writes {target}"))
        yield


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FeatureError(
            f"The features cannot be written to {target}: {error}",
            "Free some space, or choose another folder; the same command goes on with the rows that are there",
        ) from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
