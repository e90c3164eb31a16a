"""The step of an EMA teacher, for all its parameters together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


@torch.no_grad()
def move_teacher(pairs: Iterable[tuple[nn.Module, nn.Module]], tau: float) -> None:
    """Set every teacher's parameters to `tau·teacher + (1 − tau)·student`, to the bit as solo-learn's loop does.

    Buffers are left alone, as there: a teacher's BatchNorm keeps the statistics of its own forward passes.

    Args:
        pairs: (student, teacher), networks of one architecture.
        tau: how much of the teacher stays.
    """
    students: list[torch.Tensor] = []
    teachers: list[torch.Tensor] = []
    for student, teacher in pairs:
        for moving, kept in zip(student.parameters(), teacher.parameters(), strict=True):
            students.append(moving)
            teachers.append(kept)
    # Adding with alpha, or a lerp, would round once where the loop rounds three times.
    share = torch._foreach_mul(students, 1 - tau)
    torch._foreach_mul_(teachers, tau)
    torch._foreach_add_(teachers, share)
