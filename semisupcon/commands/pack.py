"""``python -m semisupcon pack --config ... --out DIR``: pack what a pretraining configuration trains on.

The configuration is the one that `pretrain.py` takes; only its data are looked at, and its values can be overridden as there.
"""

import logging
import sys
from argparse import ArgumentParser as PlainParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser

from semisupcon.commands import types  # noqa: F401, for aug_list
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.packed.reading import Packed
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.errors import ConfigError, DatasetNotFoundError, nearest

SOURCES = ("sl_task", "ssl_task", "data_dir", "sl_kwargs", "ssl_kwargs")
log = logging.getLogger(__name__)


class Parser(ArgumentParser):
    """Answers a mistake in one sentence, with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
        raise SystemExit(2)


def read_configs(paths: list[str]) -> dict[str, Any]:
    """YAML files, each laid over those before it; ``{}`` for none.

    Raises:
        DatasetNotFoundError: for a missing file.
        ConfigError: for one that is no YAML mapping.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        if not Path(path).is_file():
            raise DatasetNotFoundError("The configuration", path, "Give an existing YAML file as --config.")
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"The configuration is no YAML: {' '.join(str(error).split())}\nIn: {path}") from error
        if not isinstance(content, Mapping):
            raise ConfigError(f"The configuration is no mapping of names to values.\nIn: {path}")
        merged = _laid_over(merged, content)
    return merged


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {k: _laid_over(below[k], v) for k, v in above.items() if isinstance(v, Mapping) and isinstance(below.get(k), Mapping)}
    return {**below, **above, **both}


def main(args: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    args = args or []
    first = PlainParser(add_help=False)
    first.add_argument("--config", action="append", default=[])
    config = read_configs(first.parse_known_args(args)[0].config)
    data = config.get("data") or {}
    settings = data.get("init_args", {}) if "class_path" in data else data

    parser = Parser(prog="python -m semisupcon pack", description="Decode and resample a data set once, for the fastest training.")
    parser.add_argument("--config", action="append", default=[], type=str, help="Pretraining YAML; several are laid one over the other.")
    parser.add_argument("--out", type=str, required=True, help="Folder to make; a run that was interrupted is gone on with.")
    parser.add_argument("--threads", type=int | None, default=None, help="Clips decoded at once; by default one a core.")
    parser.add_class_arguments(AudioDataModule, "data")
    known = vars(parser.get_defaults().data)
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"The configuration has data.{name}, which AudioDataModule has not.{nearest(name, known)}")
        parser.set_defaults({f"data.{name}": value})
    options = parser.parse_args(args)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    encoder = ((config.get("model") or {}).get("encoder") or {}).get("init_args") or {}
    sample_rate = options.data.target_sample_rate or encoder.get("sample_rate")
    if sample_rate is None:
        raise ConfigError("The configuration does not say the sample rate.\nGive the encoder's: --data.target_sample_rate HZ")
    sources = {name: options.data[name] for name in SOURCES}
    folder = pack(gather(**sources, max_bad=options.data.max_bad), sources, sample_rate, options.out, options.threads)
    header = Packed(folder).header
    size = sum(path.stat().st_size for path in folder.iterdir())
    log.info("%d clips, %.2f hours at %d Hz, %.2f GB, are in %s.", header["clips"], header["hours"], sample_rate, size / 1e9, folder)
    log.info("Train from it with: --data.packed %s", folder)
    return 0
