"""The device of a command, from ``--device``."""

from semisupcon.errors import ConfigError


def device_of(given: str) -> str:
    """Return the device name if torch can use it: ``cpu``, ``cuda``, ``cuda:N`` or another.

    ``auto`` is cuda if available, else cpu.

    Raises:
        ConfigError: if the name is not a device, or this machine does not have the device.
    """
    import torch

    if given == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # .cpu() fails for "meta", which holds no data.
        torch.zeros(1, device=torch.device(given)).cpu()
    except Exception as error:  # The exception type depends on the kind of device.
        there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ConfigError(
            f"--device {given} is not available on this machine. Give auto, or one of: {there}."
        ) from error
    return given
