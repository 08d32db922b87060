"""``semisupcon pack --config ... --out DIR``: pack the training data of a pretraining
configuration.

The command takes the same configurations as ``semisupcon pretrain`` and uses their ``data``
section. Options on the command line override the configuration.
"""

import logging

from semisupcon.commands.parsing import types  # noqa: F401, for aug_list
from semisupcon.commands.parsing.ranges import (
    ABOVE_ZERO,
    COUNT,
    NOT_NEGATIVE,
    SAMPLE_RATE,
    SHARE,
    SHARE_ABOVE_ZERO,
    Range,
    check_numbers,
)
from semisupcon.commands.parsing.typed import TypedParser, take_configs
from semisupcon.configuration import section
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.packed.reading import Packed
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.errors import ConfigError
from semisupcon.outputs import check_folder
from semisupcon.random import MAX_VIEWS

# Ranges of all numeric data options. Packing does not use all of them, but the training that
# follows uses the same configuration.
DATA = {
    "target_sample_rate": SAMPLE_RATE,
    "target_length": ABOVE_ZERO,
    "batch_size": COUNT,
    "num_workers": NOT_NEGATIVE,
    "val_split": Range(0, 1, (False, True)),
    "supervised_data_p": SHARE,
    "intrabatch_supervised_p": SHARE,
    "severity_modifier": Range(0, 5),
    "views": Range(1, MAX_VIEWS),
    "crop_fraction": SHARE_ABOVE_ZERO,
    "max_bad": SHARE,
}
SOURCES = ("sl_task", "ssl_task", "data_dir", "sl_kwargs", "ssl_kwargs")
log = logging.getLogger(__name__)


def main(args: list[str] | None = None) -> int:
    """Pack or verify the data set and return the exit status."""
    args = args or []
    parser = TypedParser(
        prog="semisupcon pack",
        description="Decode and resample a data set once, for fast training.",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        type=str,
        help="Pretraining recipe or YAML file; a second one overrides the first.",
    )
    parser.add_argument(
        "--out", type=str, required=True, help="Folder to write; an interrupted run is continued."
    )
    parser.add_argument(
        "--threads",
        type=int | None,
        default=None,
        help="Clips decoded at the same time; default: one per core.",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="Do not pack: read the packed set in --out and its existing source files, and check that they are unchanged.",
    )
    parser.add_class_arguments(AudioDataModule, "data")
    paths, _ = take_configs(args)
    config = parser.read_files(paths)
    known = vars(parser.get_defaults().data)
    for name, value in section(config, "data").items():
        if name not in known:
            raise ConfigError(parser.unknown(f"--data.{name}"))
        parser.set_defaults({f"data.{name}": value})
    options = parser.parse_args(args)

    check_numbers({"threads": options.threads}, {"threads": Range(1, 1024)})
    check_numbers(
        {f"data.{name}": value for name, value in vars(options.data).items()},
        {f"data.{n}": r for n, r in DATA.items()},
    )
    check_folder(options.out)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.verify:
        packed = Packed(options.out, verify=True)
        count = len(packed.clips)
        log.info(
            "All %d clips in %s are unchanged; %d of their source files exist and are unchanged.",
            count,
            options.out,
            packed.sources_at_hand,
        )
        return 0
    sample_rate = options.data.target_sample_rate or section(
        section(config, "model"), "encoder"
    ).get("sample_rate")
    check_numbers(
        {"model.encoder.sample_rate": sample_rate}, {"model.encoder.sample_rate": SAMPLE_RATE}
    )
    if sample_rate is None:
        raise ConfigError(
            "The configuration does not give the sample rate.\nGive the rate of the encoder: "
            "--data.target_sample_rate HZ"
        )
    sources = {name: options.data[name] for name in SOURCES}
    folder = pack(
        gather(**sources, max_bad=options.data.max_bad),
        sources,
        sample_rate,
        options.out,
        options.threads,
    )
    header = Packed(folder).header
    size = sum(path.stat().st_size for path in folder.iterdir())
    log.info(
        "%d clips, %.2f hours at %d Hz, %.2f GB, are in %s.",
        header["clips"],
        header["hours"],
        sample_rate,
        size / 1e9,
        folder,
    )
    log.info("Train from it with: --data.packed %s", folder)
    return 0
