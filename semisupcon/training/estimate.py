"""Estimate the time and memory of a run on a CPU before it starts, from steps with few clips."""

import copy
import logging
import os
import time
from typing import Any

import pytorch_lightning as L
import torch

from semisupcon.batch import Batch
from semisupcon.objectives.base import Encode

# Minimum number of audio samples per step for an estimate. Published recipes have more, their small
# overlays far fewer.
LARGE_STEP = 5_000_000
TRIALS = (2, 4)  # clips per step of the two trials
SLOW, SHARE = 2.0, 0.5  # limits for a warning: seconds per step, share of the memory
log = logging.getLogger("semisupcon")


class Estimate(L.Callback):
    """Callback that warns before the first step if a step on the CPU takes much time or memory.

    Args:
        overlay: path of the small overlay of the recipe; None if there is none.
    """

    def __init__(self, overlay: str | None = None):
        self.overlay = overlay

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        data = getattr(trainer, "datamodule", None)
        if data is None or not data.samples:
            return
        large = data.batch_size * data.views * data.samples >= LARGE_STEP
        if not large or trainer.strategy.root_device.type != "cpu":
            return
        if trainer.global_step or not trainer.is_global_zero:
            return
        seconds, size = estimate(module, data.batch_size, data.views, data.samples)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if seconds < SLOW and size < SHARE * memory:
            return
        steps = trainer.max_steps if trainer.max_steps > 0 else None
        total = f"; {steps:,} steps take about {_in_words(seconds * steps)}" if steps else ""
        log.warning(
            "No GPU is used: a step takes about %.0f s and %.1f GB (this machine has %.0f GB)%s.",
            seconds,
            size / 1e9,
            memory / 1e9,
            total,
        )
        if self.overlay:
            log.warning(
                "To run a small version of this recipe in minutes on two cores, add --config %s",
                self.overlay,
            )
        elif size > SHARE * memory:
            log.warning(
                "Lower --data.batch_size, or give --model.chunk_size to encode the views in parts."
            )


def _in_words(seconds: float) -> str:
    """Format a duration as ``40 s``, ``12 minutes``, ``7 hours`` or ``65 days``."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def estimate(module: Any, batch_size: int, views: int, samples: int) -> tuple[float, float]:
    """Estimate the seconds and bytes of a training step.

    A copy of the model makes two steps with few clips, and their time and memory are extrapolated.

    Args:
        module: an `Objective` after ``setup``.
        batch_size: clips per step.
        views: views per clip.
        samples: samples per view.
    """
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    found = []
    with torch.random.fork_rng(devices=[]):
        for clips in TRIALS:
            encoder, criterion = copy.deepcopy((module.encoder, module.criterion))
            encoder.train()
            criterion.train()
            batch = _batch(module, clips, views, samples)
            begin, kept = time.perf_counter(), _Kept()
            with (
                torch.enable_grad(),
                torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor),
            ):
                loss = criterion.losses(batch, Encode(encoder))["loss"]
            loss.backward()
            found.append((time.perf_counter() - begin, kept.size))
    (first_seconds, first_size), (seconds, size) = found
    more = (batch_size - TRIALS[1]) / (TRIALS[1] - TRIALS[0])
    # Weights, gradients and the two moments of Adam take four times the size of the weights.
    return max(seconds + more * (seconds - first_seconds), seconds), size + more * (
        size - first_size
    ) + 4 * weights


class _Kept:
    """Counter of the bytes that autograd saves for the backward pass, each storage once."""

    def __init__(self) -> None:
        self.size = 0
        self._seen: set[int] = set()

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.size += storage.nbytes()
        return tensor


def _batch(module: Any, clips: int, views: int, samples: int) -> Batch:
    """Return a batch of noise with the shapes of a training batch."""
    facts = module.facts
    targets = torch.zeros(clips, len(facts.classes))
    if facts.classes:
        targets[:, 0] = 1
    most = max((len(names) for names in facts.parameter_names), default=0)
    key = torch.arange(clips * views).view(clips, views)
    return Batch(
        audio=0.1 * torch.randn(clips, views, 1, samples),
        length=torch.full((clips, views), samples),
        targets=targets,
        clip=torch.arange(clips),
        key=key,
        applied=torch.arange(clips * views * len(facts.operators)).view(clips, views, -1) % 2 == 0,
        parameters=torch.zeros(clips, views, len(facts.operators), most),
    )
