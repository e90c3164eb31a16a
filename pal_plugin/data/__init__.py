"""Data sets with manifests, augmentation policies, and loaders that pair images along a similarity graph."""

from __future__ import annotations

from pal_plugin.data.augment import Draws, apply, draw
from pal_plugin.data.cifar10 import fetch_cifar10, load_cifar10
from pal_plugin.data.dataset import ImageDataset, Images
from pal_plugin.data.digits import load_digits
from pal_plugin.data.draws import uniforms
from pal_plugin.data.lazy import FileImages, LazyImages
from pal_plugin.data.loader import eval_loader, pair_loader
from pal_plugin.data.manifest import Manifest, check_reference
from pal_plugin.data.pairs import PairDataset
from pal_plugin.data.policy import Policy
from pal_plugin.data.related import PairComposition, RelatedSampler
from pal_plugin.data.sampler import EpochSampler, Request
from pal_plugin.data.sources import available_splits, dataset_from_config, load_dataset

__all__ = [
    "Draws",
    "EpochSampler",
    "FileImages",
    "ImageDataset",
    "Images",
    "LazyImages",
    "Manifest",
    "PairComposition",
    "PairDataset",
    "Policy",
    "RelatedSampler",
    "Request",
    "apply",
    "available_splits",
    "check_reference",
    "dataset_from_config",
    "draw",
    "eval_loader",
    "fetch_cifar10",
    "load_cifar10",
    "load_dataset",
    "load_digits",
    "pair_loader",
    "uniforms",
]
