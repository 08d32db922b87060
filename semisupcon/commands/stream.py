"""``semisupcon stream PACKED OUT``: copy a packed data set into chunks for object storage."""

import logging
from pathlib import Path

from semisupcon.commands.parsing.parser import Parser
from semisupcon.commands.parsing.ranges import GREAT, Range, check_numbers
from semisupcon.data.streamed import CHUNK_BYTES, write_stream
from semisupcon.outputs import check_folder

LEAST_CHUNK = 1 << 10  # bytes; each chunk is one file, and reading it is one request
log = logging.getLogger(__name__)


def main(args: list[str] | None = None) -> int:
    """Write the chunks of a packed data set and return the exit status."""
    parser = Parser(
        prog="semisupcon stream", description="Copy a packed set into chunks for object storage."
    )
    parser.add_argument("packed", type=Path, help="folder written by semisupcon pack")
    parser.add_argument("out", type=Path, help="new folder; copy it to a bucket unchanged")
    parser.add_argument(
        "--chunk_bytes",
        type=int,
        default=CHUNK_BYTES,
        help="bytes per chunk (default: %(default)s)",
    )
    given = parser.parse_args(args)
    check_numbers(vars(given), {"chunk_bytes": Range(LEAST_CHUNK, GREAT)})
    check_folder(given.out, "out")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = write_stream(given.packed, given.out, given.chunk_bytes)
    log.info("Train from it with: --data.class_path StreamedDataModule --data.stream %s", folder)
    return 0
