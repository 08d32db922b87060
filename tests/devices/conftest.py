"""The accelerator that these tests run on: ``pytest tests/devices --device cuda``."""

import pytest
import torch


@pytest.fixture(scope="session")
def device(request):
    """The device of ``--device``, in full float32 precision; the test is skipped where none is
    given."""
    name = request.config.getoption("--device")
    if name == "cpu":
        pytest.skip("compares an accelerator with the CPU: needs --device cuda")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device(name)
