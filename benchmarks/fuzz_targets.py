"""All targets of `benchmarks.fuzz`: files of other programs and files of semisupcon."""

from pathlib import Path

import soundfile

from benchmarks import fuzz_ours as ours
from benchmarks import fuzz_strange as strange
from benchmarks.fuzz_parts import RATE, Target, encoder_of, tone, word
from semisupcon.checkpoints import export_encoder, save_atomically
from semisupcon.commands.embed import main as embed
from semisupcon.datasets import TASKS, load_annotations

FORMATS = {
    "wav": None,
    "flac": None,
    "ogg": None,
    "mp3": None,
    "aiff": None,
    "opus": ("OGG", "OPUS"),
}


def audio(suffix: str) -> Target:
    """Return the target for audio files of a format, read by `embed`."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        export_encoder(encoder_of(), folder / "model")
        container, subtype = FORMATS[suffix] or (None, None)
        soundfile.write(folder / f"clip.{suffix}", tone(), RATE, format=container, subtype=subtype)

    def read(folder: Path) -> str:
        return str(
            embed(
                [
                    str(folder / f"clip.{suffix}"),
                    "--checkpoint",
                    str(folder / "model"),
                    "--out",
                    str(folder / "e.npy"),
                ]
            )
        )

    return Target(suffix, make, read, ours=False, files=r"^clip\.", cases=2000)


def annotations(task: str) -> Target:
    """Return the target for the annotation files of a tiny copy of a data set."""

    def make(folder: Path) -> None:
        from tests.datasets.tiny_sets import BUILDERS

        folder.mkdir(parents=True)
        BUILDERS[task](folder)

    def read(folder: Path) -> str:
        return word(len(load_annotations(task, folder)))

    return Target(task, make, read, ours=False, files=r"\.(csv|tsv|txt|json|yaml|key)$", cases=200)


# Tasks without annotation files: classes are given by the names of folders and files.
UNWRITTEN = (
    "audiomnist_digit",
    "audiomnist_speaker",
    "class_folders",
    "crema_d",
    "fsdd_digit",
    "fsdd_speaker",
    "librispeech_speaker",
)
_ALL = [
    *(audio(suffix) for suffix in FORMATS),
    *(
        annotations(task)
        for task in TASKS
        if not task.startswith("synthetic_") and task not in UNWRITTEN
    ),
    Target(
        "checkpoint",
        lambda folder: save_atomically(ours.content_of_checkpoint(), folder / "last.ckpt"),
        ours.read_run,
    ),
    Target(
        "export",
        lambda folder: export_encoder(encoder_of(), folder / "model", {"note": "x"}) and None,
        ours.read_export,
    ),
    Target("imported_heads", ours.make_heads, ours.read_heads),
    Target("head", ours.make_probe_head, ours.read_probe_head),
    Target("packed", ours.make_packed, ours.read_packed),
    Target("embedding_cache", ours.make_cache, ours.read_cache, files=r"\.(npy|json)$"),
    Target("content_hashes", ours.make_hashes, ours.read_hashes),
    Target("scan_cache", ours.make_scan, ours.read_scan),
    Target("draws", ours.make_draws, ours.read_draws),
    Target("map", ours.make_map, ours.read_map),
    Target("metrics", ours.make_metrics, ours.read_metrics, ours=False),
    Target(
        "strange_checkpoint",
        lambda folder: save_atomically(ours.content_of_checkpoint(), folder / "last.ckpt"),
        ours.read_run,
        False,
        spoil=strange.spoil_checkpoint,
    ),
    Target(
        "strange_export",
        lambda folder: export_encoder(encoder_of(), folder / "model") and None,
        ours.read_export,
        False,
        spoil=strange.spoil_json("config.json", False),
    ),
    Target(
        "strange_heads",
        ours.make_heads,
        ours.read_heads,
        False,
        spoil=strange.spoil_json("heads.json", False),
    ),
    Target(
        "strange_head", ours.make_probe_head, ours.read_probe_head, False, spoil=strange.spoil_head
    ),
    Target(
        "strange_header",
        ours.make_packed,
        ours.read_packed,
        False,
        spoil=strange.spoil_json("packed.json"),
    ),
    Target("strange_index", ours.make_packed, ours.read_packed, False, spoil=strange.spoil_index),
    Target(
        "strange_cache", ours.make_cache, ours.read_cache, False, spoil=strange.spoil_json("*.json")
    ),
    Target(
        "strange_hashes",
        ours.make_hashes,
        ours.read_hashes,
        False,
        spoil=strange.spoil_json("content.json"),
    ),
    Target(
        "strange_map", ours.make_map, ours.read_map, False, spoil=strange.spoil_json("map.json")
    ),
    Target(
        "run_folder",
        strange.make_run,
        strange.read_resumed,
        False,
        files=r"run\.json|\.csv|\.yaml|\.ckpt",
        cases=200,
    ),
    Target(
        "run_alone",
        strange.make_run,
        strange.read_resumed_alone,
        False,
        files=r"run\.json|\.csv|\.yaml",
        cases=200,
    ),
    Target(
        "strange_run",
        strange.make_run,
        strange.read_resumed,
        False,
        cases=400,
        spoil=strange.spoil_checkpoint,
    ),
    Target("results", strange.make_results, strange.read_results, False, files="^out/", cases=200),
]
TARGETS = {target.name: target for target in _ALL}
