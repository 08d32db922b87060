"""How benchmarks augment a batch that lies on a device: one place, so that all of them measure the
same call.

In training the loader makes the plan of a batch ahead of its step, so the time of a chain on a
device is that of ``run``; the plan is measured apart.
"""

from collections.abc import Callable

from torch import Tensor

from semisupcon.augmentations import Chain


def augmentation(chain: Chain, audio: Tensor, keys: Tensor) -> Callable[[], object]:
    """The work of a chain on a batch, to be timed: on an accelerator with the plan made beforehand,
    its copy to the device included.

    Args:
        chain: on the device of the audio.
        audio: ``[N, 1, T]``.
        keys: ``[N]`` int64 on the host.
    """
    if audio.device.type == "cpu":
        return lambda: chain(audio, keys)
    plan = chain.plan(keys, audio.shape[-1]).pin_memory()
    return lambda: chain.run(audio, plan.to(audio.device))
