"""Entry point of all commands: ``semisupcon <command> --help`` or
``python -m semisupcon <command> --help``.
"""

import importlib
import sys

from semisupcon.commands.ending import ended_well
from semisupcon.commands.packages import missing_package
from semisupcon.commands.quick import quick
from semisupcon.errors import UserError, nearest

COMMANDS = {
    "pretrain": ("semisupcon.commands.pretrain", "pretrain an encoder"),
    "probe": ("semisupcon.commands.probe", "evaluate representations on labelled data sets"),
    "embed": (
        "semisupcon.commands.embed",
        "embed audio files: one embedding per file or per second",
    ),
    "predict": ("semisupcon.commands.predict", "label audio files with a saved head"),
    "tag": ("semisupcon.commands.tag", "label a folder from a table that labels some of its files"),
    "index": ("semisupcon.commands.index", "embed audio files into an index for search"),
    "search": ("semisupcon.commands.search", "find similar audio, or near-identical pairs"),
    "explore": ("semisupcon.commands.explore", "write a map of embeddings as one HTML page"),
    "data": ("semisupcon.commands.data", "list, check and download data sets"),
    "pack": ("semisupcon.commands.pack", "decode and resample a data set once, for fast training"),
    "stream": (
        "semisupcon.commands.stream",
        "copy a packed data set into chunks for object storage",
    ),
    "import": (
        "semisupcon.commands.import_",
        "convert a published checkpoint of CLMR, SemiSupCon, MT-SLVR or PANNs",
    ),
    "export": (
        "semisupcon.commands.export",
        "write an encoder as safetensors, ONNX or torch.export",
    ),
    "push": ("semisupcon.commands.push", "upload an exported folder to the Hugging Face hub"),
    "hear": (
        "semisupcon.commands.hear",
        "write augmented views of a file as wav files and spectrograms",
    ),
}


def main(args: list[str] | None = None) -> int:
    """Run a command.

    Returns the exit status: 2 after a user error; `semisupcon.commands.ending` lists the others.
    """
    args = sys.argv[1:] if args is None else args
    return ended_well(lambda: run(args))


def run(args: list[str]) -> int:
    """Run a command and return its exit status.

    User errors are printed. Other exceptions are raised.
    """
    if not args or args[0] in ("-h", "--help"):
        print("usage: semisupcon <command> [options]\n")
        print("\n".join(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()))
        return 0 if args else 2
    command, *rest = args
    try:
        if command not in COMMANDS:
            raise UserError(
                f"There is no command '{command}'.{nearest(command, COMMANDS)} There are: "
                f"{', '.join(COMMANDS)}."
            )
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
