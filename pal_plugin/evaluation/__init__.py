"""How good is a representation: nearest neighbours, linear probes, retrieval, fine-tuning.

Functions of arrays (`knn_accuracy`, `linear_probe`, `recall_at_k`), and `evaluate`, which keeps the images that are
fitted on, chosen on and read apart.
"""

from __future__ import annotations

from pal_plugin.evaluation.evaluate import evaluate
from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.knn import knn_accuracy
from pal_plugin.evaluation.linear import linear_probe
from pal_plugin.evaluation.measures import KNN, Linear, Retrieval
from pal_plugin.evaluation.parts import Splits, load_parts, merged_data
from pal_plugin.evaluation.retrieval import recall_at_k
from pal_plugin.evaluation.sgd import Recipe
from pal_plugin.evaluation.source import from_checkpoint, from_prior
from pal_plugin.evaluation.trained import Finetune, LinearSGD

__all__ = [
    "KNN",
    "Finetune",
    "Linear",
    "LinearSGD",
    "Recipe",
    "Retrieval",
    "Splits",
    "encode",
    "evaluate",
    "from_checkpoint",
    "from_prior",
    "knn_accuracy",
    "linear_probe",
    "load_parts",
    "merged_data",
    "recall_at_k",
]
