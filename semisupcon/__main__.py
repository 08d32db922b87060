"""The small commands around pretraining and probing: `python -m semisupcon <command> --help`."""

import importlib
import sys

from semisupcon.errors import UserError, nearest

COMMANDS = {
    "data": ("semisupcon.commands.data", "list the data sets, check one, or download one"),
    "pack": ("semisupcon.commands.pack", "decode and resample a data set once, for the fastest training"),
    "stream": ("semisupcon.commands.stream", "copy a packed data set into chunks for object storage"),
    "import": ("semisupcon.commands.import_", "turn a published checkpoint of CLMR, SemiSupCon, MT-SLVR or PANNs into ours"),
    "embed": ("semisupcon.commands.embed", "embeddings of audio files, one a file or one a second"),
    "hear": ("semisupcon.commands.hear", "write augmented views of a file as wav, with a picture"),
    "export": ("semisupcon.commands.export", "write the encoder of a run as safetensors and JSON"),
}


def main(args: list[str] | None = None) -> int:
    """Run one of the commands; returns its exit status (2 after a mistake in the input)."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print("usage: python -m semisupcon <command> [options]\n")
        print("\n".join(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()))
        return 0 if args else 2
    command, *rest = args
    if command not in COMMANDS:
        print(f"error: unknown command '{command}'.{nearest(command, COMMANDS)} There are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(COMMANDS[command][0]).main(rest) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
