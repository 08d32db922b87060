"""Choose the torch device of a command from the value of ``--device``."""

from semisupcon.errors import ConfigError


def device_of(given: str) -> str:
    """Return the name of the torch device for the value of ``--device``.

    ``auto`` becomes ``cuda`` if a GPU is available, else ``cpu``. Other names are returned
    unchanged after a test that torch can use the device.

    Raises:
        ConfigError: if the name is not a device, or this machine does not have the device.
    """
    import torch

    if given == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # Copy to the CPU, which fails for the device "meta", because its tensors have no data.
        torch.zeros(1, device=torch.device(given)).cpu()
    except Exception as error:  # The type of the exception depends on the device.
        there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ConfigError(
            f"--device {given} is not available on this machine. Give auto, or one of: {there}."
        ) from error
    return given
