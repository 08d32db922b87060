"""Measure the time and memory of the contrastive loss, and compare other implementations.

The loss of semisupcon is measured with the target of SemiSupCon (same clip, or a common label of
50) and with the target of SimCLR (same clip). It is compared with the published formula of
SemiSupCon (cosines by broadcasting N x N x D, labels compared as N x N x C), ``SupConLoss`` of
pytorch-metric-learning, and ``NTXentLoss`` of lightly. The width D is 128, the number of labels C
is 50, and the N embeddings are pairs of views.

With 10,000 labels the loss is compared with the product of the labels, ``tags @ tags.T``.

The cases run in turn, and times are medians of forward and backward pass. Memory is the peak
without the inputs, measured in a separate process per case. Run ``python -m benchmarks.loss
--check``; on a GPU add ``--device cuda --sizes 4096 16384 65536``.
"""

import argparse
import ctypes
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.bars import Bar, all_met
from benchmarks.memory import reset_peak, status
from semisupcon.losses import contrastive_loss
from semisupcon.losses.pairs import same_clip, shared_labels

WIDTH, CLASSES, TEMPERATURE, REPETITIONS = 128, 50, 0.1, 5
SIZES, TINY = (512, 1024, 2048, 4096, 16384), (64, 128)
LIMIT_GIB = 14  # memory limit; a case that needs more is listed as failing
PUBLISHED_UP_TO, LARGE = 2048, 16384
PAGE_MIB = 2**-8  # size of a memory page, the unit in which memory is counted


def inputs(
    n: int,
    device: str,
    dtype: torch.dtype = torch.float32,
    labels: int = CLASSES,
    share: float = 0.1,
) -> dict[str, Tensor]:
    """Draw the inputs of a loss for n embeddings, which are two views of each clip.

    Returns projections ``z [n, 128]``, tags ``[n, labels]`` (each clip has each tag with the
    probability ``share``), classes ``[n]`` and clip numbers ``[n]``.
    """
    generator = torch.Generator().manual_seed(n)
    made = {
        "z": torch.randn(n, WIDTH, generator=generator, dtype=dtype),
        "tags": (torch.rand(n // 2, labels, generator=generator) < share)
        .float()
        .repeat_interleave(2, 0),
        "classes": torch.randint(CLASSES, (n // 2,), generator=generator).repeat_interleave(2),
        "clips": torch.arange(n // 2).repeat_interleave(2),
    }
    made = {k: v.to(device) for k, v in made.items()}
    made["z"].requires_grad_()
    return made


def ours_semi(z, tags, classes, clips):
    def near(rows):
        return shared_labels(tags[rows], tags).masked_fill(clips[rows, None] == clips, 1.0)

    return contrastive_loss(z, z, near, torch.arange(len(z), device=z.device), TEMPERATURE).loss


def ours_simclr(z, tags, classes, clips):
    own = torch.arange(len(z), device=z.device)
    return contrastive_loss(z, z, lambda rows: clips[rows, None] == clips, own, TEMPERATURE).loss


def published(z, tags, classes, clips):
    cosines = nn.CosineSimilarity(dim=2)(z[:, None], z[None])
    common = ((tags[:, None] == tags[None]) & (tags[:, None] == 1)).float().sum(dim=2)
    positive = ((clips[:, None] == clips[None]).float() + (common >= 1).float() > 0).float()
    others = 1 - torch.eye(len(z), device=z.device)
    scores = torch.exp(cosines / TEMPERATURE)
    log_prob = -torch.log(scores / (scores * others).sum(dim=1, keepdim=True) + 1e-6)
    weights = positive * others
    return ((weights * log_prob).sum(dim=1) / weights.sum(dim=1)).mean()


def metric_learning_supcon(z, tags, classes, clips):
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(TEMPERATURE)(z, classes)


def lightly_ntxent(z, tags, classes, clips):
    from lightly.loss import NTXentLoss

    return NTXentLoss(TEMPERATURE)(z[0::2], z[1::2])


MINE, PUBLISHED = "semisupcon, SemiSupCon", "published formula"
OURS = {MINE: ours_semi, "semisupcon, SimCLR": ours_simclr}
PEERS = {
    "pytorch-metric-learning SupCon": metric_learning_supcon,
    "lightly NT-Xent": lightly_ntxent,
}
CASES: dict[str, Callable[..., Tensor]] = OURS | PEERS | {PUBLISHED: published}


def once(case: str, given: dict[str, Tensor]) -> float:
    """Return the seconds of one forward and backward pass."""
    given["z"].grad = None
    started = time.perf_counter()
    CASES[case](**given).backward()
    if given["z"].is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak(case: str, n: int, device: str) -> dict[str, float] | None:
    """Measure the peak memory (MiB, without inputs) and seconds of one pass in this process.

    Returns None if there is not enough memory.
    """
    given = inputs(n, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # returns memory of earlier passes to the system
        reset_peak()
        before = status("VmRSS")
    try:
        seconds = once(case, given)
    except (RuntimeError, MemoryError):
        return None
    return {
        "mib": (torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else status("VmHWM"))
        - before,
        "seconds": seconds,
    }


def peaks(case: str, sizes: Sequence[int], device: str) -> dict[int, dict[str, float]]:
    """Run `peak` for several sizes in a separate process with limited memory.

    Sizes that fail are left out.
    """
    command = [
        sys.executable,
        "-m",
        "benchmarks.loss",
        "--case",
        case,
        "--device",
        device,
        "--sizes",
        *map(str, sizes),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return {
        n: seen
        for n, seen in zip(sizes, (line["peak"] for line in found), strict=False)
        if seen is not None
    }


def agreement(n: int = 512) -> tuple[float, float]:
    """Return the relative differences of loss and gradient from a dense log-softmax, in float64."""
    given = inputs(n, "cpu", torch.float64)
    ours = ours_semi(**given)
    z, itself = nn.functional.normalize(given["z"], dim=1), torch.eye(n, dtype=torch.bool)
    weights = torch.maximum(
        same_clip(given["clips"], given["clips"]), shared_labels(given["tags"], given["tags"])
    )
    weights = weights.double().masked_fill(itself, 0)
    log_prob = (
        (z @ z.T / TEMPERATURE)
        .masked_fill(itself, float("-inf"))
        .log_softmax(dim=1)
        .masked_fill(itself, 0)
    )
    dense = -((weights * log_prob).sum(1) / weights.sum(1)).mean()
    gradients = [torch.autograd.grad(loss, given["z"])[0] for loss in (ours, dense)]
    return abs(ours.item() / dense.item() - 1), (
        (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    ).item()


def many_labels(n: int, labels: int, share: float, device: str) -> float:
    """Return the time of our loss with many labels, divided by that of the product of the labels.

    The product is ``tags @ tags.T``, which any dense method needs. Both run in turn; the times are
    medians.
    """
    given = inputs(n, device, labels=labels, share=share)
    ours, product = [], []
    for _ in range(REPETITIONS + 1):
        ours.append(once(MINE, given))
        started = time.perf_counter()
        given["tags"] @ given["tags"].T
        if device == "cuda":
            torch.cuda.synchronize()
        product.append(time.perf_counter() - started)
    taken, limit = (statistics.median(times[1:]) for times in (ours, product))
    print(
        f"{n:>7}  {labels:,} labels, {share:.1%} set: {1e3 * taken:.1f} ms; product of the labels: "
        f"{1e3 * limit:.1f} ms",
        flush=True,
    )
    return taken / limit


def measure(
    n: int,
    device: str,
    memory: dict[str, dict[int, dict[str, float]]],
    published_up_to: int = PUBLISHED_UP_TO,
) -> dict[str, float]:
    """Measure all cases in turn at one size, and return their median seconds.

    Args:
        n: number of embeddings.
        device: torch device.
        memory: results of `peaks` by case. Cases that failed at this size are left out.
        published_up_to: largest size of the published formula.
    """
    cases = [case for case in CASES if n in memory[case]]
    given, times = inputs(n, device), {case: [] for case in cases}
    for _ in range(REPETITIONS):
        for case in cases:
            if (
                case != PUBLISHED or n < published_up_to // 2
            ):  # For larger sizes, the time of the memory measurement is used.
                times[case].append(once(case, given))
    seconds = {
        case: statistics.median(taken or [memory[case][n]["seconds"]])
        for case, taken in times.items()
    }
    for case in CASES:
        if case in seconds:
            print(
                f"{n:>7}  {case:<32} {1e3 * seconds[case]:>10.1f} ms "
                f"{memory[case][n]['mib']:>10.1f} MiB",
                flush=True,
            )
        elif case != PUBLISHED or n <= published_up_to:
            print(f"{n:>7}  {case:<32} fails: asks for more than {LIMIT_GIB} GiB", flush=True)
    return seconds


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--tiny", action="store_true", help="does it run? two small sizes")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument(
        "--case",
        choices=list(CASES),
        help="measure the memory of one case in this process, and nothing else",
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="of the CPU; with one, other work on the machine disturbs least",
    )
    options = parser.parse_args(args)
    sizes = options.sizes or (TINY if options.tiny else SIZES)
    published_up_to, large = (sizes[-1],) * 2 if options.tiny else (PUBLISHED_UP_TO, LARGE)
    torch.set_num_threads(options.threads)
    if options.case:
        if options.device == "cpu":
            resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_GIB * 2**30,) * 2)
        once(options.case, inputs(64, options.device))  # loads libraries and starts threads
        for n in sizes:
            print(json.dumps({"peak": peak(options.case, n, options.device)}), flush=True)
        return 0

    loss_error, gradient_error = agreement()
    results = [
        Bar("float64_loss_error", loss_error, 1e-6, "<="),
        Bar("float64_gradient_error", gradient_error, 1e-6, "<="),
    ]
    print(
        f"{options.threads} CPU threads, {options.device}\n{'N':>7}  {'case':<32} {'time':>13} "
        f"{'peak memory':>14}",
        flush=True,
    )
    small = [n for n in sizes if n <= published_up_to]
    memory = {
        case: peaks(case, small if case == PUBLISHED else sizes, options.device) for case in CASES
    }
    for n in sizes:
        seconds = measure(n, options.device, memory, published_up_to)
        mine, fastest = (
            seconds[MINE],
            min((seconds[case] for case in PEERS if case in seconds), default=None),
        )
        if fastest is not None:
            results.append(Bar(f"time_over_fastest_peer_{n}", mine / fastest, 1.1, "<="))
        if n == published_up_to and PUBLISHED in seconds:
            less = memory[PUBLISHED][n]["mib"] / max(memory[MINE][n]["mib"], PAGE_MIB)
            results.append(Bar(f"times_faster_than_published_{n}", seconds[PUBLISHED] / mine, 100))
            results.append(Bar(f"times_less_memory_than_published_{n}", less, 100))
        if n == large:
            results.append(Bar(f"peak_mib_{n}", memory[MINE][n]["mib"], 400, "<="))
    n, labels = (128, 500) if options.tiny else (1024, 10_000)
    for name, share in (("dense", 0.1), ("few", 0.001)):
        ratio = many_labels(n, labels, share, options.device)
        results.append(Bar(f"{labels}_labels_{name}_over_product", ratio, 1.2, "<="))
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
