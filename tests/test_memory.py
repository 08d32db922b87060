"""Freed memory is used again."""

import subprocess
import sys

import pytest

from semisupcon.memory import keep_freed_memory

FAULTS = """
import resource, sys, torch
from semisupcon.memory import keep_freed_memory
if sys.argv[1] == "keep":
    print("kept" if keep_freed_memory() else "cannot")
torch.set_num_threads(1)
for step in range(32):
    if step == 20:  # the first steps find their places
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 1 << 18).sum()  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin)
"""


def faults(what: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", FAULTS, what], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.slow
def test_large_blocks_are_not_faulted_in_again():
    said, kept = faults("keep")[0], int(faults("keep")[-1])
    if said == "cannot":
        pytest.skip("this C library keeps nothing")
    assert kept < 0.1 * int(faults("return")[-1])


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("SEMISUPCON_KEEP_MEMORY", "0")
    assert not keep_freed_memory()
