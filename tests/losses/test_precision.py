"""16 bits become 32; 64 stay."""

import torch

from semisupcon.losses import at_least_float32


def test_precision_is_raised_and_never_lowered():
    for given, expected in {
        torch.float16: torch.float32,
        torch.bfloat16: torch.float32,
        torch.float32: torch.float32,
    }.items():
        assert at_least_float32(torch.ones(2, dtype=given)).dtype == expected
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, dtype=dtype)
        assert at_least_float32(x) is x
