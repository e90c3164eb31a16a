"""Files and folders that may not be read: every loader says so in an error of its own, and ends in no traceback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

NOBODY = 65534
# As another user, since root may read everything; after the imports, since that user may not see the environment.
READ_AS_NOBODY = textwrap.dedent(
    """
    import json, os, sys
    from pathlib import Path
    import h5py
    from pal_plugin.data import load_dataset
    from pal_plugin.data.cifar10 import read_binary
    from pal_plugin.data.cifar100 import read_python
    from pal_plugin.data.fetch import Release, fetch
    from pal_plugin.data.listing import check_present
    from pal_plugin.errors import DataError

    root, sums = Path(sys.argv[1]), json.loads(sys.argv[2])
    release = Release("Toy", "toy", "toy", sums, ())
    cases = {
        "fetch": lambda: fetch(release, root / "published"),
        "fetch below a closed folder": lambda: fetch(release, root / "closed"),
        "cifar10": lambda: read_binary(root / "published" / "toy", ["a"]),
        "cifar100": lambda: read_python(root / "published" / "toy", "a"),
        "listing": lambda: check_present([root / "closed" / "a.png"], "Toy", "Get it"),
        "photos": lambda: load_dataset("folder", "train", root=root / "closed"),
        "photos below": lambda: load_dataset("folder", "train", root=root / "closed" / "photos"),
        "splits": lambda: load_dataset("folder", "train", root=root / "splits"),
        "folder of arrays": lambda: load_dataset("arrays", "train", root=root / "closed"),
        "arrays": lambda: load_dataset("arrays", "train", root=root / "x.npz"),
        "arrays below": lambda: load_dataset("arrays", "train", root=root / "closed" / "x.npz"),
        "medmnist": lambda: load_dataset("medmnist", "train", root=root / "closed", options={"flag": "pathmnist"}),
        "h5": lambda: load_dataset("h5", "train", root=root / "x.h5"),
        "h5 below": lambda: load_dataset("h5", "train", root=root / "closed" / "x.h5"),
        "folder of h5": lambda: load_dataset("h5", "train", root=root / "closed"),
    }
    os.seteuid(int(sys.argv[3]))
    said = {}
    for name, read in cases.items():
        try:
            read()
            said[name] = "no error"
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(said))
    """
)


@pytest.fixture
def closed() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder that another user may look into, with files and folders that are closed to him, and an MD5."""
    root = Path(tempfile.mkdtemp())  # pytest's own is below folders that are closed
    root.chmod(0o755)
    content = b"published"
    for name in ("closed", "splits/train", "published/toy"):
        (root / name).mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(root / "closed" / "a.png")
    Image.new("RGB", (4, 4)).save(root / "splits" / "train" / "a.png")
    np.savez(root / "x.npz", images=np.zeros((2, 4, 4, 3), np.uint8))
    with h5py.File(root / "x.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4, 3), np.uint8)
    (root / "published" / "toy" / "a").write_bytes(content)
    for name in ("closed", "splits/train", "x.npz", "x.h5", "published/toy/a"):
        (root / name).chmod(0)
    yield root, {"a": hashlib.md5(content).hexdigest()}
    shutil.rmtree(root)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can read as another user")
def test_what_may_not_be_read_is_named(closed):
    root, sums = closed
    arguments = [str(root), json.dumps(sums), str(NOBODY)]
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_NOBODY, *arguments], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert len(said) == 15
    for name, message in said.items():
        assert message.startswith("DataError: "), (name, message)
        assert "ermission" in message, (name, message)  # denied, and what to mend
        assert str(root) in message, (name, message)
