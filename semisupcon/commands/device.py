"""The device of a command, from its ``--device``."""

from semisupcon.errors import ConfigError


def device_of(given: str) -> str:
    """``cpu``, ``cuda``, ``cuda:N`` or another device of torch that is there; ``auto`` takes cuda where there is one.

    Raises:
        ConfigError: for a name that is no device, or a device that this machine does not have.
    """
    import torch

    if given == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(given)).cpu()  # "meta" holds no numbers.
    except Exception as error:  # Each kind of device has its own.
        there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ConfigError(f"--device {given} is no device that this machine has. Give auto, or one of: {there}.") from error
    return given
