"""k-NN accuracy while training; stands in for the hosts' metric, which breaks on torchmetrics 1."""

from __future__ import annotations

import torch
from torch import Tensor

from pal_plugin.evaluation.knn import knn_accuracy


class OnlineKNN:
    """Collects an epoch's training features and scores the validation features against them.

    `forget` is to be called where an epoch begins: older features are those of older networks.

    Under DDP each rank votes with the features it saw, and Lightning averages the ranks.

    Args:
        k: number of neighbours.
        metric: `cosine` or `euclidean`.
    """

    def __init__(self, k: int, metric: str) -> None:
        self.k = k
        self.metric = metric
        self._train: list[tuple[Tensor, Tensor]] = []
        self._test: list[tuple[Tensor, Tensor]] = []

    def add_train(self, features: Tensor, targets: Tensor) -> None:
        """Remember labelled features (B, D) with targets (B,)."""
        self._train.append(_labelled(features, targets))

    def add_test(self, features: Tensor, targets: Tensor) -> None:
        """Remember features to be classified."""
        self._test.append(_labelled(features, targets))

    def forget(self) -> None:
        """Forget all features."""
        self._train.clear()
        self._test.clear()

    def compute(self) -> dict[str, float]:
        """Return top-1 and top-5 accuracy in percent and forget the features; NaN where either side is empty."""
        train_x, train_y = _joined(self._train)
        test_x, test_y = _joined(self._test)
        self.forget()
        if not len(train_y) or not len(test_y):
            return {"top1": float("nan"), "top5": float("nan")}
        return knn_accuracy(
            train_x.numpy(), train_y.numpy(), test_x.numpy(), test_y.numpy(), k=self.k, metric=self.metric
        )


def _labelled(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    known = targets >= 0
    return features.detach()[known].float().cpu(), targets[known].cpu()


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if not parts:
        return torch.empty(0, 0), torch.empty(0, dtype=torch.long)
    return torch.cat([features for features, _ in parts]), torch.cat([targets for _, targets in parts])
