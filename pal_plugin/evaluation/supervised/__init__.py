"""Training from nothing on the images that a selection has had labelled: networks, augmentation, the trainer."""

from __future__ import annotations

from pal_plugin.evaluation.supervised.training import PROTOCOLS, Protocol, features_by_labels, train_on_labels
from pal_plugin.evaluation.supervised.wide_resnet import WideResNet, make_classifier

__all__ = ["PROTOCOLS", "Protocol", "WideResNet", "features_by_labels", "make_classifier", "train_on_labels"]
