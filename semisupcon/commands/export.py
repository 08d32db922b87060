"""``semisupcon export RUN --out FOLDER``: write the encoder of a run as ``model.safetensors`` and
``config.json``. The record of the training audio is copied if the run has one.
"""

from pathlib import Path

from semisupcon.checkpoints import (
    CONFIG,
    RECORD,
    WEIGHTS,
    export_encoder,
    find_checkpoint,
    load_encoder,
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.outputs import check_folder, refuse_existing


def main(args: list[str] | None = None) -> int:
    """Export the encoder and return the exit status."""
    parser = Parser(prog="semisupcon export", description=__doc__)
    parser.add_argument("run", help="run folder or checkpoint")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files with these names"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        help="module outside semisupcon whose classes the file may name",
    )
    given = parser.parse_args(args)
    outputs = [Path(given.out) / name for name in (WEIGHTS, CONFIG, RECORD)]
    refuse_existing(outputs, given.overwrite)
    check_folder(given.out)
    source = find_checkpoint(given.run)
    encoder = load_encoder(source, given.trust)
    folder = export_encoder(
        encoder, Path(given.out), {"exported_from": source.name, "run": source.parent.name}
    )
    if source.with_name(RECORD).is_file():
        # Imported here, because only this line needs pandas.
        from semisupcon.data.heard import find_record, write_record

        if (heard := find_record(source)) is not None:
            write_record(heard, folder / RECORD)
    print(
        f"Wrote {folder}: {type(encoder).__name__}, "
        f"{sum(p.numel() for p in encoder.parameters()):,} parameters."
    )
    return 0
