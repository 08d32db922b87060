"""``semisupcon import <clmr|semisupcon|mtslvr|panns> FILE --out DIR``: convert a published
checkpoint.
"""

from pathlib import Path

import torch

from semisupcon.checkpoints import CONFIG, WEIGHTS
from semisupcon.commands.parsing.parser import Parser
from semisupcon.importer import (
    DROPPED,
    HEADS,
    HEADS_CONFIG,
    SYSTEMS,
    describe,
    import_checkpoint,
    write,
)
from semisupcon.outputs import check_folder, refuse_existing


def main(args: list[str] | None = None) -> int:
    """Convert the checkpoint and return the exit status."""
    parser = Parser(
        prog="semisupcon import",
        description="Convert a published checkpoint to the format of semisupcon.",
    )
    parser.add_argument("system", choices=SYSTEMS, help="system that wrote the file")
    parser.add_argument("file", help="published checkpoint")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files with these names"
    )
    given = parser.parse_args(args)
    outputs = [Path(given.out) / name for name in (WEIGHTS, CONFIG, HEADS, HEADS_CONFIG)]
    refuse_existing(outputs, given.overwrite)
    check_folder(given.out)
    with torch.no_grad():
        imported = import_checkpoint(given.system, given.file)
    folder = write(
        imported, given.out, {"imported_from": Path(given.file).name, "system": given.system}
    )
    if imported.encoder is not None:
        print(
            f"Encoder: {describe(imported.encoder)}, normalisation "
            f"{type(imported.encoder.normalize).__name__}."
        )
    for name, head in imported.heads.items():
        print(f"Head '{name}': {describe(head)}.")
    if imported.dropped:
        print(
            f"Dropped, because {given.system} {DROPPED[given.system]}: "
            f"{', '.join(imported.dropped)}."
        )
    print(f"Wrote {folder}.")
    return 0
