"""All commands: `python -m semisupcon <command> --help`."""

import importlib
import sys

from semisupcon.commands.ending import ended_well
from semisupcon.commands.packages import missing_package
from semisupcon.commands.quick import quick
from semisupcon.errors import UserError, nearest

COMMANDS = {
    "pretrain": ("semisupcon.commands.pretrain", "pretrain an encoder"),
    "probe": ("semisupcon.commands.probe", "measure representations on labelled data sets"),
    "embed": ("semisupcon.commands.embed", "embeddings of audio files, one a file or one a second"),
    "data": ("semisupcon.commands.data", "list the data sets, check one, or download one"),
    "pack": ("semisupcon.commands.pack", "decode and resample a data set once, for the fastest training"),
    "stream": ("semisupcon.commands.stream", "copy a packed data set into chunks for object storage"),
    "import": ("semisupcon.commands.import_", "turn a published checkpoint of CLMR, SemiSupCon, MT-SLVR or PANNs into ours"),
    "export": ("semisupcon.commands.export", "write the encoder of a run as safetensors and JSON"),
    "hear": ("semisupcon.commands.hear", "write augmented views of a file as wav, with a picture"),
}


def main(args: list[str] | None = None) -> int:
    """Run one of the commands; returns its exit status: 2 after a mistake in the input, else see `semisupcon.commands.ending`."""
    args = sys.argv[1:] if args is None else args
    return ended_well(lambda: run(args))


def run(args: list[str]) -> int:
    """Run a command; raises what it raises, but for a mistake in the input."""
    if not args or args[0] in ("-h", "--help"):
        print("usage: python -m semisupcon <command> [options]\n")
        print("\n".join(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()))
        return 0 if args else 2
    command, *rest = args
    try:
        if command not in COMMANDS:
            raise UserError(f"There is no command '{command}'.{nearest(command, COMMANDS)} There are: {', '.join(COMMANDS)}.")
        if command == "pretrain" and (status := quick(rest)) is not None:
            return status
        return importlib.import_module(COMMANDS[command][0]).main(rest) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        if (missing := missing_package(command, error)) is None:
            raise
        print(f"error: {missing}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
