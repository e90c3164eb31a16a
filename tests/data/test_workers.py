"""What leaves a data worker, and what it holds: errors that arrive whole, images that are not copied."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from pal_plugin import errors
from pal_plugin.data import FileImages, ImageDataset, Policy, eval_loader, pair_loader
from pal_plugin.data.workers import carries_errors
from pal_plugin.errors import DataError, PalError

FLIP = Policy.from_config({"crop_size": 16, "num_crops": 2, "horizontal_flip": {"prob": 0.5}})
BAD = "img-07.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> ImageDataset:
    """20 files; one of them ends in the middle."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"img-{number:02}.jpg" for number in range(20)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
    bad = tmp_path / BAD
    bad.write_bytes(bad.read_bytes()[:500])
    ids, unlabelled = tuple(path.name for path in paths), np.full(20, -1)
    return ImageDataset("photos", "train", FileImages(paths), unlabelled, ids, (), (0.5,) * 3, (0.25,) * 3)


def loader_of(kind: str, photos: ImageDataset, workers: int) -> Any:
    if kind == "pairs":
        return pair_loader(photos, [FLIP], batch_size=5, seed=0, num_workers=workers)
    return eval_loader(photos, 5, 16, num_workers=workers)


def failure_of(loader: Any) -> tuple[Any, ...]:
    """Return type, text, parts and cause of the error that `loader` ends in, but nothing that keeps its workers."""
    try:
        list(loader)
    except PalError as error:
        return type(error), str(error), error.what, error.mend, str(error.__cause__)
    raise AssertionError("no error")


@pytest.mark.parametrize("kind", ["pairs", "evaluation"])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_an_error_in_a_worker_arrives_as_it_was(photos: ImageDataset, kind: str) -> None:
    *alone, _ = failure_of(loader_of(kind, photos, 0))
    assert alone[0] is errors.ImageError
    assert f"{BAD} cannot be decoded" in alone[2]
    assert "\n" not in alone[1]
    for workers in (1, 3):
        *carried, cause = failure_of(loader_of(kind, photos, workers))
        assert carried == alone
        assert "in a data worker" in cause
        assert "decode.py" in cause, "where it happened is kept"


def test_the_loader_goes_on_after_an_error(photos: ImageDataset) -> None:
    """A worker that met an error still answers."""
    loader = pair_loader(photos, [FLIP], batch_size=1, seed=0, num_workers=1, drop_last=False)
    batches, errors_met, iterator = 0, 0, iter(loader)
    while True:
        try:
            next(iterator)
            batches += 1
        except DataError:
            errors_met += 1
        except StopIteration:
            break
    assert (batches, errors_met) == (19, 1)


def test_every_error_survives_the_way() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    class Failing(Dataset[Any]):
        def __len__(self) -> int:
            return len(kinds)

        @carries_errors
        def __getitems__(self, rows: list[int]) -> Any:
            raise kinds[rows[0]](f"Row {rows[0]} is bad", "Remove it")

    iterator = iter(DataLoader(Failing(), num_workers=1, collate_fn=lambda batch: batch))
    for row, kind in enumerate(kinds):
        with pytest.raises(PalError) as caught:
            next(iterator)
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert type(error) is kind
            assert (str(error), error.mend) == (f"Row {row} is bad. Remove it.", "Remove it")


def test_workers_are_gone_with_the_error(photos: ImageDataset) -> None:
    """Left to the garbage collector, an iterator waits five seconds for each of them."""
    before = workers_alive()
    gc.disable()
    try:
        failure_of(loader_of("pairs", photos, 2))
        assert workers_alive() <= before
    finally:
        gc.enable()


@pytest.mark.slow
def test_training_ends_with_one_paragraph(photos: ImageDataset, tmp_path: Path) -> None:
    """`pal train` on a folder with a damaged photo, read by two workers."""
    data = ["data.dataset=folder", f"data.root={tmp_path}", "data.num_classes=1", "data.crop_size=32"]
    quick = ["profile=debug", "data.num_workers=2", "optimizer.batch_size=4", "validation.enabled=false"]
    command = [sys.executable, "-m", "pal_plugin.cli", "train", "--config-name", "simclr", *quick, *data]
    ran = subprocess.run([*command, f"run_dir={tmp_path / 'run'}"], capture_output=True, text=True, timeout=240)
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "RuntimeError" not in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"pal: The image {tmp_path / BAD} cannot be decoded: ")
    assert last.endswith("undecodable=skip.")


def test_a_bug_in_a_worker_stays_a_bug(photos: ImageDataset) -> None:
    def broken(content: bytes, name: str) -> Any:
        raise ZeroDivisionError("a bug")

    photos.images = FileImages(photos.images.paths, broken)  # type: ignore[union-attr]
    with pytest.raises(ZeroDivisionError, match="Original Traceback"):
        next(iter(pair_loader(photos, [FLIP], batch_size=5, seed=0, num_workers=1)))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells private from shared memory")
def test_forked_workers_share_the_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10_000, 64, 64, 3), dtype=np.uint8)
    n = len(images)
    dataset = ImageDataset(
        "big", "train", images, np.zeros(n, np.int64), tuple(map(str, range(n))), ("a",), (0.5,) * 3, (0.25,) * 3
    )
    others = workers_alive()
    iterator = iter(pair_loader(dataset, [FLIP], batch_size=500, seed=0, num_workers=2))
    for _ in range(10):
        next(iterator)
    workers = workers_alive() - others
    assert len(workers) == 2
    for pid in workers:
        assert private_bytes(pid, images.ctypes.data + images.nbytes // 2) < images.nbytes / 10


def workers_alive() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid is not None}


def private_bytes(pid: int, address: int) -> int:
    """Bytes that the process shares with no other, in the mapping of its memory that holds `address`."""
    fields: list[str] = []
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if mapping := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(mapping[1], 16) <= address < int(mapping[2], 16)
        elif inside and line.startswith("Private_"):
            fields.append(line)
    assert len(fields) >= 2, "Private_Clean and Private_Dirty"
    return sum(1024 * int(line.split()[1]) for line in fields)
