"""Whether a device computes in bfloat16 faster than in float32."""

from __future__ import annotations

import torch


def fast_bfloat16(device: str) -> bool:
    """Return whether a device (`"cpu"` or `"cuda"`) has bfloat16 instructions; without them it only emulates them."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())  # older PyTorches cannot tell
