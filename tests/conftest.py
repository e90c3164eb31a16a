"""One thread for every test and for the processes it starts: the arrays are tiny, and the tests run side by side."""

import ctypes
import gc
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The browser stays offline by itself; a container gives it neither a sandbox nor a graphics card.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
LONG = ("test_pipeline.py", "test_train.py")  # though the latter starts no processes
RANK = str(Path(__file__).with_name("rank_process.py"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, faiss and BLAS are first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# An example may take any time: the tests run side by side, and what else the machine does is not theirs to answer for.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often, and when, `test_kills.py` kills each command, and how many files `test_fuzz.py` breaks a parser."""
    parser.addoption("--kills", type=int, default=1, help="times that each command is killed")
    parser.addoption("--kill-seed", type=int, default=0, help="of the moments")
    parser.addoption("--fuzz", type=int, default=0, help="broken files a parser, at random; 0: a few, always the same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one of them at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (item.path.name not in LONG, -slow[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Give memory back: glibc keeps what trainings freed, 8 GB a process in the end, and writes then wait for disks."""
    yield
    if sys.platform == "linux":
        held = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if held > 2 * 2**30:
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def pytest_configure() -> None:
    """Receive Ctrl-C: a shell starts background jobs with it ignored, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """A forkserver that has imported torch, Lightning and solo-learn once: a process then starts in a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pal_plugin.train"])
    return context


@pytest.fixture
def run_ranks(processes: ForkServerContext) -> Callable[..., list[int | None]]:
    """Run a script as the ranks of one process group, with `ARGS` and each its `rank`; return their exit codes.

    The code is negative for one that had to be killed.
    """

    def run(script: Path, arguments: dict[str, Any], world: int = 2) -> list[int | None]:
        from torch.distributed import TCPStore  # not before the threads are set

        # Held from here on: a port that is only looked for may be another program's when the ranks start.
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        shared = arguments | {"port": store.port, "world": world}
        ranks = [
            processes.Process(
                target=runpy.run_path, args=(RANK, {"SCRIPT": str(script), "ARGS": shared | {"rank": rank}})
            )
            for rank in range(world)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(120)
            if process.is_alive():
                process.kill()
                process.join()
        return [process.exitcode for process in ranks]

    return run


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """The distribution's Chromium, headless."""
    executable = shutil.which("chromium")
    if executable is None:
        reason = "no `chromium` on the PATH: apt-get install chromium"
        if os.environ.get("PAL_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def three_d_ident_root(tmp_path: Path) -> Path:
    """A root with `3dident` as its archives unpack: 120 train and 40 test renderings, 16 × 16."""
    import numpy as np  # not before the threads are set
    from PIL import Image

    generator = np.random.default_rng(0)
    for split, count, digits in (("train", 120, 3), ("test", 40, 2)):
        images = tmp_path / "3dident" / split / "images"
        images.mkdir(parents=True)
        latents = generator.uniform(-1, 1, (count, 10))
        np.save(images.parent / "raw_latents.npy", latents)
        for row, factors in enumerate(latents):
            pixels = np.kron(np.resize((factors + 1) * 127, (4, 4, 3)), np.ones((4, 4, 1)))
            Image.fromarray(pixels.astype(np.uint8)).save(images / f"{row:0{digits}d}.png")
    return tmp_path


@pytest.fixture
def celeba_root(tmp_path: Path) -> Path:
    """A root with `celeba`, official lists: 60 train, 20 val and 20 test photos, 22 × 18, five of each person."""
    import numpy as np  # not before the threads are set
    from PIL import Image

    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = ("Bald", "Male", "Smiling", "Young")
    files = [f"{number:06d}.jpg" for number in range(1, 101)]
    generator = np.random.default_rng(0)
    bits = generator.random((100, 4)) < (0.2, 0.5, 0.5, 0.8)
    for file, has in zip(files, bits, strict=True):
        pixels = np.kron(np.resize(60 + 150 * has, (11, 9, 3)), np.ones((2, 2, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "img_align_celeba" / file)
    parts = [0] * 60 + [1] * 20 + [2] * 20
    persons = [11 * (row // 5) + 3 for row in range(100)]
    lines = [f"{file}  " + " ".join("1" if one else "-1" for one in has) for file, has in zip(files, bits, strict=True)]
    for name, content in (
        ("list_attr_celeba.txt", ["100", " ".join(names), *lines]),
        ("identity_CelebA.txt", [f"{file} {person}" for file, person in zip(files, persons, strict=True)]),
        ("list_eval_partition.txt", [f"{file} {part}" for file, part in zip(files, parts, strict=True)]),
    ):
        (folder / name).write_text("\n".join(content) + "\n")
    return tmp_path


@pytest.fixture
def inat_root(tmp_path: Path) -> Path:
    """A root with `inat`: 6 species in 2 superclasses, 10 train, 4 val and 4 test photos of each, of several sizes."""
    import numpy as np  # not before the threads are set
    from PIL import Image

    folder = tmp_path / "inat"
    generator = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for species in range(6):
        name = f"train/{species:05d}_Animalia_{species}"
        (folder / name).mkdir(parents=True)
        for number, split in enumerate(["train"] * 10 + ["val"] * 4 + ["test"] * 4):
            colour = generator.integers(0, 60, 3) + 30 * species
            pixels = np.broadcast_to(colour, (20 + number, 24, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.jpg")
            lines[split].append(f"{name}/{number}.jpg {species} {species // 3}")
    for split, content in lines.items():
        (folder / f"{split}.txt").write_text("\n".join(content) + "\n")
    return tmp_path
