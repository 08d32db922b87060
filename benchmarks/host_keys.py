"""The call with which benchmarks augment a batch, in one place so that all measure the same call.

In training, the data loader draws the random parameters of a batch (its plan) before the step.
Therefore the time of a chain on a GPU is that of ``Chain.run`` with a given plan. The time of the
plan is measured separately.
"""

from collections.abc import Callable

from torch import Tensor

from semisupcon.augmentations import Chain


def augmentation(chain: Chain, audio: Tensor, keys: Tensor) -> Callable[[], object]:
    """Return a function that applies a chain to a batch, to be timed.

    On a GPU, the plan is made before. The function copies it to the device and runs the chain.

    Args:
        chain: chain on the device of the audio.
        audio: ``[N, 1, T]``.
        keys: ``[N]`` int64, on the CPU.
    """
    if audio.device.type == "cpu":
        return lambda: chain(audio, keys)
    plan = chain.plan(keys, audio.shape[-1]).pin_memory()
    return lambda: chain.run(audio, plan.to(audio.device))
