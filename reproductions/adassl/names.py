"""What this paper's folders are called."""

from __future__ import annotations

PAPER = "adassl"
