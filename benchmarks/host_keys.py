"""How benchmarks augment a batch that lies on a device: one place, so that all of them measure the same call.

The keys stay on the host where the chain draws its parameters there. A chain that draws them on the
device of the audio gets the keys there.
"""

from torch import Tensor

from semisupcon.augmentations import Chain


def draws_on_host(chain: Chain) -> bool:
    """Whether the chain separates what it draws (``plan``) from what it computes (``run``)."""
    return hasattr(chain, "plan") and hasattr(chain, "run")


def augment(chain: Chain, audio: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Apply a chain.

    Args:
        chain: on the device of the audio.
        audio: ``[N, 1, T]``.
        keys: ``[N]`` int64 on the host.

    Returns:
        What the chain returns.
    """
    if draws_on_host(chain):
        return chain(audio, keys)
    return chain(audio, keys.to(audio.device, non_blocking=True))
