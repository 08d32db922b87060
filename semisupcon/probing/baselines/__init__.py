"""Baselines for probing, chosen by name: audio features and public models.

``mfcc``, ``logmel``, ``chroma`` and ``opensmile`` compute features of a signal without training. The other
names are public models. Their weights come from an installed package, or from a local folder
(``hf:FOLDER``). Nothing is downloaded.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.errors import ConfigError, UserError, first_line
from semisupcon.hub import is_hub

if TYPE_CHECKING:
    from semisupcon.probing.baselines.base import Extractor

_HERE = "semisupcon.probing.baselines"
FOLDER = "hf:"
# Name of a baseline -> path of its class.
NAMES = {
    "mfcc": f"{_HERE}.spectral.MFCC",
    "logmel": f"{_HERE}.spectral.LogMelStatistics",
    "chroma": f"{_HERE}.chroma.Chroma",
    "opensmile": f"{_HERE}.opensmile.EGeMAPS",
    "silero": f"{_HERE}.silero.Silero",
    "musicnn": f"{_HERE}.musicnn.MusiCNN",
    "resemblyzer": f"{_HERE}.resemblyzer.Resemblyzer",
    "basic-pitch": f"{_HERE}.basic_pitch.BasicPitch",
    "crepe": f"{_HERE}.crepe.Crepe",
    "pesto": f"{_HERE}.pesto.Pesto",
    "hf": f"{_HERE}.transformers.HuggingFace",
}


def is_named(text: str) -> bool:
    """Return whether a text is the name of a baseline."""
    return (text in NAMES and text != "hf") or (text.startswith(FOLDER) and not is_hub(text))


def in_transformers_folder(text: str) -> bool:
    """Return whether a folder has a model of transformers, not an encoder of semisupcon."""
    try:
        content = json.loads((Path(text) / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "model_type" in content and "encoder" not in content


def extractor(
    text: str, arguments: Mapping[str, Any] | None = None, folder: Path | None = None
) -> "Extractor":
    """Build the encoder of a baseline.

    Args:
        text: one of `NAMES`, or ``hf:FOLDER``.
        arguments: arguments of the class of the baseline.
        folder: folder to which the argument ``folder`` is relative.

    Raises:
        ConfigError: for a missing package, with the pip command, or wrong arguments.
    """
    arguments = dict(arguments or {})
    if text.startswith(FOLDER):
        text, arguments["folder"] = "hf", text.removeprefix(FOLDER)
    elif folder is not None and isinstance(arguments.get("folder"), str):
        arguments["folder"] = str(folder / arguments["folder"])
    module, _, name = NAMES[text].rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**arguments)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The encoder '{text}' needs {error.name}, which is not installed: pip install "
            f"{(error.name or '').partition('.')[0]}."
        ) from error
    except TypeError as error:
        raise ConfigError(
            f"The encoder '{text}' does not take these arguments: {first_line(error, 200)}."
        ) from error
