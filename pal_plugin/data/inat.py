"""iNat-1M (Zhang et al., arXiv 2602.02381): 5000 species of the iNaturalist 2021 training set, 11 classes above them.

The folder is the one of AdaSSL's documentation: the training images as published, and three lists beside them,
`inat/{train,val,test}.txt`, with a line an image: its path in that folder, and the numbers of its species and
superclass. Any other selection of such images can be listed likewise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.array_files import class_count
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.listing import SizedImages, check_present, numbers, table

FOLDER = "inat"
# of the training images, as AdaSSL's code normalises them
MEAN = (0.4687, 0.4848, 0.3779)
STD = (0.2357, 0.2273, 0.2457)


def load_inat(split: str, root: Path) -> ImageDataset:
    """List the photos of a split; labels are species, coarse labels their superclasses, ids the paths in the lists.

    A species is called after the folder of its training images; superclasses have their numbers for names, since the
    lists name none. The manifest knows the files by their sizes: to read a million photos would take too long.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        root: the folder that holds `inat`.

    Raises:
        DataError: a list or photos are missing, or a list is damaged.
    """
    folder = root / FOLDER
    mend = (
        f"Unpack metadata/inat.zip of AdaSSL's code into {root}, and train.tar.gz of iNaturalist 2021 into {folder}, "
        f"or name the folder that holds {FOLDER} (--root, data.root=)"
    )
    files, species, superclasses = _listed(folder / "train.txt", mend)
    class_names = _names(files, species, class_count([species], f"The species in {folder / 'train.txt'}"))
    coarse_count = class_count([superclasses], f"The superclasses in {folder / 'train.txt'}")
    if split != "train":
        files, species, superclasses = _listed(folder / f"{split}.txt", mend)
    paths = [folder / path for path in files]
    check_present(paths, f"iNat-1M in {folder}", mend)
    return ImageDataset(
        name="inat",
        split=split,
        images=SizedImages(paths),
        labels=species,
        ids=files,
        class_names=class_names,
        mean=MEAN,
        std=STD,
        coarse_labels=superclasses,
        coarse_names=tuple(map(str, range(coarse_count))),
    )


def _listed(path: Path, mend: str) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the N paths of a list, and the (N,) species and superclasses."""
    files, species, superclasses = zip(*table(path, 3, mend), strict=True)
    return files, numbers(species, path, mend), numbers(superclasses, path, mend)


def _names(files: tuple[str, ...], species: NDArray[np.int64], count: int) -> tuple[str, ...]:
    names = [str(number) for number in range(count)]
    present, first = np.unique(species, return_index=True)
    for number, row in zip(present, first, strict=True):
        names[number] = Path(files[row]).parent.name or str(number)
    return tuple(names)
