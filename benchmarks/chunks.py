"""Measure the memory and time of ``--model.chunk_size``, which encodes the views in parts.

For each chunk size, a forward and backward pass of SampleCNN on 32 views of 2.7 s runs in a
separate process. The memory is the peak memory minus the memory of weights and waveforms. Run
``python -m benchmarks.chunks --check``.
"""

import argparse
import json
import subprocess
import sys
import time

import torch

from benchmarks.bars import Bar, all_met
from benchmarks.memory import reset_peak, status
from semisupcon.encoders import SampleCNN
from semisupcon.objectives.base import Encode

VIEWS, SIZES, ENDS = 32, (0, 16, 8, 4), (0, 4)
PAGE_MIB = 2**-8  # size of a memory page, the unit in which memory is counted


def measure(chunk_size: int, views: int = VIEWS) -> dict[str, float]:
    """Measure the peak memory (MiB) and the time (seconds) of one pass in this process.

    Args:
        chunk_size: number of views encoded at the same time; 0 for all views.
        views: number of views.
    """
    torch.manual_seed(0)
    encoder = SampleCNN()
    encode, x = Encode(encoder, chunk_size or None), torch.randn(views, 1, 59049)
    encode(x[:1].repeat(2, 1, 1)).sum().backward()  # Allocates gradients and starts threads.
    reset_peak()
    before, started = status("VmRSS"), time.perf_counter()
    encode(x).square().mean().backward()
    return {"mib": status("VmHWM") - before, "seconds": time.perf_counter() - started}


def main(args: list[str] | None = None) -> int:
    """Print the table and the result; return 1 if ``--check`` is given and the limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", type=int, help="measure one chunk size in this process")
    parser.add_argument("--views", type=int, default=VIEWS)
    parser.add_argument("--tiny", action="store_true", help="does it run? two views, two sizes")
    parser.add_argument("--check", action="store_true", help="exit 1 when the bar is missed")
    options = parser.parse_args(args)
    views = 2 if options.tiny else options.views
    if options.case is not None:
        print(json.dumps(measure(options.case, views)))
        return 0
    found = {}
    for size in ENDS if options.tiny else SIZES:
        command = [
            sys.executable,
            "-m",
            "benchmarks.chunks",
            "--case",
            str(size),
            "--views",
            str(views),
        ]
        found[size] = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[
                -1
            ]
        )
        print(
            f"chunk_size {size or 'null':>4}: {found[size]['mib']:>7.0f} MiB "
            f"{found[size]['seconds']:>7.2f} s",
            flush=True,
        )
    ratio = found[0]["mib"] / max(found[4]["mib"], PAGE_MIB)
    met = all_met([Bar("times_less_memory_in_chunks_of_4", ratio, 4)])
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
