"""How good is a representation: nearest neighbours, linear probes, retrieval, fine-tuning, factors and attributes.

Functions of arrays (`knn_accuracy`, `linear_probe`, `recall_at_k`), and `evaluate`, which keeps the images that are
fitted on, chosen on and read apart.
"""

from __future__ import annotations

from pal_plugin.evaluation.attributes import Attributes, attribute_probes, minority_f1
from pal_plugin.evaluation.evaluate import evaluate
from pal_plugin.evaluation.factors import DCI, R2, dci, linear_r2
from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.knn import knn_accuracy
from pal_plugin.evaluation.linear import linear_probe
from pal_plugin.evaluation.measures import KNN, Coarse, Linear, Retrieval
from pal_plugin.evaluation.parts import Splits, load_parts, merged_data
from pal_plugin.evaluation.retrieval import recall_at_k
from pal_plugin.evaluation.sgd import Recipe
from pal_plugin.evaluation.source import from_checkpoint, from_prior
from pal_plugin.evaluation.trained import Finetune, LinearSGD

__all__ = [
    "DCI",
    "KNN",
    "R2",
    "Attributes",
    "Coarse",
    "Finetune",
    "Linear",
    "LinearSGD",
    "Recipe",
    "Retrieval",
    "Splits",
    "attribute_probes",
    "dci",
    "encode",
    "evaluate",
    "from_checkpoint",
    "from_prior",
    "knn_accuracy",
    "linear_probe",
    "linear_r2",
    "load_parts",
    "merged_data",
    "minority_f1",
    "recall_at_k",
]
