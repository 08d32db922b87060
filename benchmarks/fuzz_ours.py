"""Targets of `benchmarks.fuzz` with file formats of semisupcon.

For each format, one function writes files, and another one reads them. The content that is read
must equal the content that was written.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.fuzz_parts import RATE, encoder_of, tone, word
from semisupcon.audio.scan import scan
from semisupcon.batch import DataFacts
from semisupcon.checkpoints import FORMAT, load_encoder, load_parts, plain_facts, read_checkpoint
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.files import write_text
from semisupcon.importer import load_heads
from semisupcon.importer import write as write_imported
from semisupcon.importer.reader import Imported
from semisupcon.objectives import SemiSupCon
from semisupcon.paths import cache_folder
from semisupcon.probing.embeddings.cache import ContentHashes, EmbeddingCache
from semisupcon.probing.methods.head import load_head, new_head, save_head
from semisupcon.probing.scores.bootstrap import bootstrap
from semisupcon.probing.scores.draws import load_draws, save_draws
from semisupcon.probing.studies.maps import Map, load_map, save_map
from semisupcon.random import stable_hash
from semisupcon.spec import spec_of
from semisupcon.training.contents import check_run
from semisupcon.training.loggers import MetricsFile


def content_of_checkpoint() -> dict[str, Any]:
    """Return the content of a checkpoint of a tiny run, as Lightning and semisupcon write it."""
    encoder, criterion, facts = encoder_of(), SemiSupCon(), DataFacts(("low", "high"), "multiclass")
    criterion.connect(encoder)
    criterion.prepare(facts)
    parts = torch.nn.ModuleDict({"encoder": encoder, "criterion": criterion})
    optimizer = torch.optim.Adam(parts.parameters())
    written = {
        "version": FORMAT,
        "encoder": spec_of(encoder),
        "criterion": spec_of(criterion),
        "facts": plain_facts(facts),
    }
    run = {
        "epoch": 0,
        "global_step": 1,
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "callbacks": {},
        "loops": {},
    }
    return {"state_dict": parts.state_dict(), "semisupcon": written, **run}


def read_run(folder: Path) -> str:
    """Read a checkpoint as three commands do.

    The commands are `embed`, a probe of the projection, and a resumed training run.
    """
    path = folder / "last.ckpt"
    content = read_checkpoint(path)
    check_run(content, path)
    encoder, criterion = load_parts(path)
    return word(content, encoder.state_dict(), criterion.state_dict())


def read_export(folder: Path) -> str:
    encoder = load_encoder(folder / "model")
    return word(spec_of(encoder), encoder.state_dict())


def make_heads(folder: Path) -> None:
    head = SemiSupCon()
    head.connect(encoder_of())
    write_imported(Imported(heads={"projector": head.projector}), folder, {})


def read_heads(folder: Path) -> str:
    if not (heads := load_heads(folder)):
        return "rebuilt"
    return word({name: [spec_of(head), head.state_dict()] for name, head in heads.items()})


def read_probe_head(folder: Path) -> str:
    head, about = load_head(folder / "head.safetensors")
    return word(head.state_dict(), about)


def make_probe_head(folder: Path) -> None:
    save_head(
        new_head("mlp", 8, 3, "multiclass", hidden=4),
        folder / "head.safetensors",
        {"task": "x", "classes": ["a", "b", "c"], "encoder": "f" * 64},
    )


def make_packed(folder: Path) -> None:
    audio_folder = folder.parent.parent / "sources"
    audio_folder.mkdir(parents=True, exist_ok=True)
    for i in range(6):
        soundfile.write(audio_folder / f"{i}.wav", tone(i, 0.1 + 0.02 * i), RATE)
    sources = dict.fromkeys(("sl_task", "ssl_task", "data_dir", "sl_kwargs", "ssl_kwargs")) | {
        "data_dir": str(audio_folder)
    }
    pack(gather(**sources), sources, RATE, folder, threads=1, shard_samples=3000)


def read_packed(folder: Path) -> str:
    packed = Packed(folder, verify=True)
    table = packed.clips.table
    sound = PackedAudio(folder, table)
    spans = [sound.spans(row, [(0, int(frames))])[0] for row, frames in enumerate(table["frames"])]
    return word(table.to_dict("list"), packed.clips.targets, packed.header, spans)


FINGERPRINT = "f" * 64
CLIPS = {
    f"{i:032x}": np.random.default_rng(i).standard_normal((1 + i % 3, 5)).astype(np.float32)
    for i in range(12)
}


def make_cache(folder: Path) -> None:
    cache, names = EmbeddingCache(folder, FINGERPRINT), list(CLIPS)
    for part in (names[:7], names[7:]):
        cache.add(part, [CLIPS[name] for name in part])


def read_cache(folder: Path) -> str:
    cache = EmbeddingCache(folder, FINGERPRINT)
    missing = cache.missing(CLIPS)
    there = [name for name in CLIPS if name not in missing]
    values = cache.get(there).values if there else np.zeros((0, 5), np.float32)
    if not np.array_equal(values, np.concatenate([CLIPS[name] for name in there] or [values])):
        return "changed"
    if not missing:
        return "whole"
    cache.add(missing, [CLIPS[name] for name in missing])
    if EmbeddingCache(folder, FINGERPRINT).missing(CLIPS):
        raise AssertionError("the clips are not made again")
    return "rebuilt"


def make_hashes(folder: Path) -> None:
    folder.mkdir(parents=True)
    hashes = ContentHashes(folder)
    for i in range(5):
        (folder.parent.parent / f"clip{i}").write_bytes(bytes([i]))
        hashes(folder.parent.parent / f"clip{i}")
    hashes.save()


def read_hashes(folder: Path) -> str:
    hashes = ContentHashes(folder)
    return word([hashes(folder.parent / f"clip{i}") for i in range(5)])


def make_scan(folder: Path) -> None:
    """Write the cache of a scan of audio files, whose name depends on the scanned folder."""
    clips = folder.parent.parent / "scanned"
    clips.mkdir(parents=True)
    for i in range(5):
        soundfile.write(clips / f"{i}.wav", tone(i), RATE)
    scan([str(p) for p in sorted(clips.iterdir())])
    folder.mkdir(parents=True)
    name = f"scan-v1-{stable_hash(str(clips)):016x}.parquet"
    shutil.copy(
        next(iter(cache_folder().glob(name)), None)
        or next(iter(cache_folder().glob("scan-*.parquet"))),
        folder,
    )


def read_scan(folder: Path) -> str:
    clips = folder.parent / "scanned"
    before = os.environ["SEMISUPCON_CACHE"]
    os.environ["SEMISUPCON_CACHE"] = str(folder)
    try:
        return word(scan([str(p) for p in sorted(clips.iterdir())]).to_dict("list"))
    finally:
        os.environ["SEMISUPCON_CACHE"] = before


def make_draws(folder: Path) -> None:
    draw = np.random.default_rng(0)
    save_draws(
        bootstrap(
            "multiclass",
            np.eye(3)[draw.integers(0, 3, 30)],
            draw.random((30, 3)),
            ("a", "b", "c"),
            20,
        ),
        folder / "draws.npz",
    )


def read_draws(folder: Path) -> str:
    drawn = load_draws(folder / "draws.npz")
    return (
        "rebuilt"
        if drawn is None
        else word(drawn.values, {k: np.asarray(v) for k, v in drawn.draws.items()})
    )


def make_map(folder: Path) -> None:
    save_map(
        Map(
            "task",
            "encoder",
            "tsne",
            "label",
            ["a", "b", "c"],
            ["x", "y", "x"],
            [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
            "id",
        ),
        folder / "map.json",
    )


def read_map(folder: Path) -> str:
    found = load_map(folder / "map.json")
    return "rebuilt" if found is None else word(vars(found))


def make_metrics(folder: Path) -> None:
    rows = [f"{step},0,{0.1 * step:.3f},{1 / (step + 1):.5f}" for step in range(20)]
    write_text(folder / "metrics.csv", "\n".join(["step,epoch,loss,lr", *rows, ""]))


def read_metrics(folder: Path) -> str:
    logger = MetricsFile(folder, resumed_step=15)
    logger.log_metrics({"loss": 1.0}, 15)
    logger.save()
    return str(len((folder / "metrics.csv").read_text().splitlines()))
