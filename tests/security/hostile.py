"""Files that try to make a command do what it must not: run a program, call a function, or open a
path that they name."""

import copy
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import torch

from semisupcon.batch import DataFacts
from semisupcon.checkpoints import FORMAT, export_encoder, plain_facts
from semisupcon.encoders import SampleCNNSmall
from semisupcon.objectives import SemiSupCon
from semisupcon.spec import spec_of

RATE = 8000


class Gadget:
    """Pickled into a file, it leaves a marker when somebody unpickles it."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def content(criterion=None, **facts) -> dict:
    """What a training checkpoint of a tiny encoder holds."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=2000)
    criterion = criterion or SemiSupCon()
    criterion.connect(encoder)
    about = DataFacts(("low", "middle", "high"), "multiclass")
    criterion.prepare(about)
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()} | {
        f"criterion.{k}": v for k, v in criterion.state_dict().items()
    }
    written = {
        "version": FORMAT,
        "encoder": spec_of(encoder),
        "criterion": spec_of(criterion),
        "facts": plain_facts(about) | facts,
    }
    return {"state_dict": state, "semisupcon": copy.deepcopy(written), "global_step": 1}


def save(what: dict, folder: Path) -> Path:
    """As ``last.ckpt`` of a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(what, folder / "last.ckpt")
    return folder / "last.ckpt"


def pretended_export(folder: Path, encoder: dict) -> Path:
    """An pretended_export folder whose ``config.json`` describes another encoder than its weights
    are of."""
    export_encoder(
        SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=2000), folder
    )
    config = json.loads((folder / "config.json").read_text())
    del config["digest"]
    (folder / "config.json").write_text(json.dumps(config | {"encoder": encoder}))
    return folder


_watched: list[list] = []


def _hook(event: str, args: tuple) -> None:
    if _watched and event in (
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.mkdir",
        "socket.connect",
        "open",
    ):
        _watched[-1].append((event, str(args[0]) if args else ""))


sys.addaudithook(_hook)


@contextmanager
def watch():
    """The programs started, folders made and files opened inside the block, as (event, first
    argument)."""
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()
