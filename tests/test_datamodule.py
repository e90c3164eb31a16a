"""Where the images of a run are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pal_plugin.data import FileImages, ImageDataset, Policy, load_digits, pair_loader
from pal_plugin.datamodule import SHARE_OF_GPU, images_device
from pal_plugin.errors import ConfigError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.fixture
def files(tmp_path: Path) -> ImageDataset:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    images, half = FileImages([tmp_path / "a.png"]), (0.5, 0.5, 0.5)
    return ImageDataset("files", "train", images, np.zeros(1, int), ("a",), ("x",), half, half)


def test_a_run_on_the_cpu_keeps_them_in_memory() -> None:
    digits = load_digits("train")
    assert images_device("auto", digits, CPU) is None
    assert images_device(False, digits, CPU) is None
    with pytest.raises(ConfigError, match=r"data\.on_device is true, but the run is on the CPU"):
        images_device(True, digits, CPU)


def test_a_gpu_keeps_them_where_they_take_little_of_it(monkeypatch: pytest.MonkeyPatch, files: ImageDataset) -> None:
    """Without a GPU only its free memory has to be made up."""
    digits = load_digits("train")
    enough = int(digits.images.nbytes / SHARE_OF_GPU)  # type: ignore[union-attr]
    for free, place in ((enough, GPU), (enough - 8, None)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1 << 40))
        assert images_device("auto", digits, GPU) == place
        assert images_device(True, digits, GPU) == GPU
        assert images_device(False, digits, GPU) is None
        assert images_device("auto", files, GPU) is None


def test_files_cannot_be_kept_on_a_device(files: ImageDataset) -> None:
    with pytest.raises(ConfigError, match="files/train are read as they are needed, and cannot be kept on cpu"):
        pair_loader(files, [Policy(8)], batch_size=1, seed=0, device=CPU)
