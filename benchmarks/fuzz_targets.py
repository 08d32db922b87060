"""What `benchmarks.fuzz` damages: a sound set of files of each kind, and how a command reads it."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.kill import OPTIONS
from semisupcon.audio.scan import scan
from semisupcon.batch import DataFacts
from semisupcon.checkpoints import FORMAT, export_encoder, load_encoder, load_parts, plain_facts, read_checkpoint, save_atomically
from semisupcon.commands.embed import main as embed
from semisupcon.commands.pretrain import main as pretrain
from semisupcon.commands.probe import main as probe
from semisupcon.data.packed.checks import HEADER, INDEX
from semisupcon.data.packed.checks import TARGETS as TARGETS_FILE
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.datasets import TASKS, load_annotations
from semisupcon.digests import DIGEST, digest_of, read_json, with_digest
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import UserError
from semisupcon.files import write_text
from semisupcon.importer import load_heads
from semisupcon.importer import write as write_imported
from semisupcon.importer.reader import Imported
from semisupcon.objectives import SemiSupCon
from semisupcon.probing.embeddings.cache import ContentHashes, EmbeddingCache
from semisupcon.probing.methods.head import load_head, new_head, save_head
from semisupcon.probing.scores.bootstrap import bootstrap
from semisupcon.probing.scores.draws import load_draws, save_draws
from semisupcon.probing.studies.maps import Map, load_map, save_map
from semisupcon.random import stable_hash
from semisupcon.spec import spec_of
from semisupcon.training.contents import check_run
from semisupcon.training.loggers import MetricsFile

RATE = 8000
FORMATS = {"wav": None, "flac": None, "ogg": None, "mp3": None, "aiff": None, "opus": ("OGG", "OPUS")}


@dataclass(frozen=True)
class Target:
    """Files of one kind.

    Attributes:
        name: of the target.
        make: writes a sound set of them into a new folder.
        read: reads a folder as a command does; gives a word for the content ("rebuilt" where what was damaged is made again), or raises UserError.
        ours: whether the content must be what was written.
        files: a regular expression that finds the files to damage, by their paths in the folder.
        cases: how many the complete form tries.
        spoil: changes the files in another way than `benchmarks.fuzz.damage`, and says how.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], str]
    ours: bool = True
    files: str = "."
    cases: int = 1000
    spoil: Callable[[Path, random.Random], str] | None = None


def word(*parts: Any) -> str:
    """A digest of nested plain values, arrays and tensors."""
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=repr):
                add((key, value[key]))
        elif isinstance(value, list | tuple):
            for item in (len(value), *value):
                add(item)
        else:
            digest.update(f"{type(value).__name__} {value!r}".encode())

    add(parts)
    return digest.hexdigest()


def encoder_of(seed: int = 0) -> SampleCNNSmall:
    """A tiny encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=RATE, segment_samples=2000)


def tone(seed: int = 0, seconds: float = 0.4) -> np.ndarray:
    """A noisy tone."""
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * (1 + seed) * t) + 0.05 * np.random.default_rng(seed).standard_normal(len(t))).astype(np.float32)


# Files of other programs.


def audio(suffix: str) -> Target:
    """Sound files of a format, read by `embed`."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        export_encoder(encoder_of(), folder / "model")
        container, subtype = FORMATS[suffix] or (None, None)
        soundfile.write(folder / f"clip.{suffix}", tone(), RATE, format=container, subtype=subtype)

    def read(folder: Path) -> str:
        return str(embed([str(folder / f"clip.{suffix}"), "--checkpoint", str(folder / "model"), "--out", str(folder / "e.npy")]))

    return Target(suffix, make, read, ours=False, files=r"^clip\.", cases=2000)


def annotations(task: str) -> Target:
    """Annotation files of a data set in miniature."""

    def make(folder: Path) -> None:
        from tests.datasets.tiny_sets import BUILDERS

        folder.mkdir(parents=True)
        BUILDERS[task](folder)

    def read(folder: Path) -> str:
        return word(len(load_annotations(task, folder)))

    return Target(task, make, read, ours=False, files=r"\.(csv|tsv|txt|json|yaml|key)$", cases=200)


# Files of ours.


def content_of_checkpoint() -> dict[str, Any]:
    """What Lightning and we write into a checkpoint, of a tiny run."""
    encoder, criterion, facts = encoder_of(), SemiSupCon(), DataFacts(("low", "high"), "multiclass")
    criterion.connect(encoder)
    criterion.prepare(facts)
    parts = torch.nn.ModuleDict({"encoder": encoder, "criterion": criterion})
    optimizer = torch.optim.Adam(parts.parameters())
    written = {"version": FORMAT, "encoder": spec_of(encoder), "criterion": spec_of(criterion), "facts": plain_facts(facts)}
    run = {"epoch": 0, "global_step": 1, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [], "callbacks": {}, "loops": {}}
    return {"state_dict": parts.state_dict(), "semisupcon": written, **run}


def read_run(folder: Path) -> str:
    """A checkpoint as `embed`, probes of a projection, and a resume read it."""
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
    sources = dict.fromkeys(("sl_task", "ssl_task", "data_dir", "sl_kwargs", "ssl_kwargs")) | {"data_dir": str(audio_folder)}
    pack(gather(**sources), sources, RATE, folder, threads=1, shard_samples=3000)


def read_packed(folder: Path) -> str:
    packed = Packed(folder, verify=True)
    table = packed.clips.table
    sound = PackedAudio(folder, table)
    spans = [sound.spans(row, [(0, int(frames))])[0] for row, frames in enumerate(table["frames"])]
    return word(table.to_dict("list"), packed.clips.targets, packed.header, spans)


FINGERPRINT = "f" * 64
CLIPS = {f"{i:032x}": np.random.default_rng(i).standard_normal((1 + i % 3, 5)).astype(np.float32) for i in range(12)}


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
    return "rebuilt" if not EmbeddingCache(folder, FINGERPRINT).missing(CLIPS) else "not made again"


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
    """The cache of a scan; its name is that of the folder scanned."""
    clips = folder.parent.parent / "scanned"
    clips.mkdir(parents=True)
    for i in range(5):
        soundfile.write(clips / f"{i}.wav", tone(i), RATE)
    scan([str(p) for p in sorted(clips.iterdir())])
    from semisupcon.files import cache_folder

    folder.mkdir(parents=True)
    name = f"scan-v1-{stable_hash(str(clips)):016x}.parquet"
    shutil.copy(next(iter(cache_folder().glob(name)), None) or next(iter(cache_folder().glob("scan-*.parquet"))), folder)


def read_scan(folder: Path) -> str:
    import os

    clips = folder.parent / "scanned"
    before = os.environ["SEMISUPCON_CACHE"]
    os.environ["SEMISUPCON_CACHE"] = str(folder)
    try:
        return word(scan([str(p) for p in sorted(clips.iterdir())]).to_dict("list"))
    finally:
        os.environ["SEMISUPCON_CACHE"] = before


def make_draws(folder: Path) -> None:
    draw = np.random.default_rng(0)
    save_draws(bootstrap("multiclass", np.eye(3)[draw.integers(0, 3, 30)], draw.random((30, 3)), ("a", "b", "c"), 20), folder / "draws.npz")


def read_draws(folder: Path) -> str:
    drawn = load_draws(folder / "draws.npz")
    return "rebuilt" if drawn is None else word(drawn.values, {k: np.asarray(v) for k, v in drawn.draws.items()})


def make_map(folder: Path) -> None:
    save_map(
        Map("task", "encoder", "tsne", "label", ["a", "b", "c"], ["x", "y", "x"], [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], "id"),
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


# Files of strangers: well-formed, with values of other types and sizes.

ODD = (None, True, -1, 0, 1, 10**18, 10**400, 1e300, float("nan"), "", "x", "../x", "\0", [], {}, [[]], [None], {"a": 1}, "9" * 100)


def spoilt(value: Any, draw: random.Random) -> tuple[Any, str]:
    """Nested plain values with one of them replaced or left out, and which."""
    places: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        for key, inner in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
            places.append((item, key))
            walk(inner)

    walk(value)
    container, key = draw.choice(places)
    if draw.random() < 0.2:
        del container[key]
        return value, f"{key!r} left out"
    container[key] = draw.choice(ODD)
    return value, f"{key!r} = {container[key]!r}"[:80]


def plain(content: Any) -> Any:
    """A copy in which mappings and sequences can be changed."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    return [plain(value) for value in content] if isinstance(content, list | tuple) else content


def spoil_checkpoint(folder: Path, draw: random.Random) -> str:
    path = next(folder.rglob("last.ckpt"))
    content, told = spoilt(plain(torch.load(path, weights_only=True)), draw)
    torch.save(content, path)
    return told


def spoil_json(name: str, sealed: bool = True) -> Callable[[Path, random.Random], str]:
    """Spoils the first JSON file that fits a pattern; ``sealed`` with the digest that then belongs to it, else without one."""

    def spoil(folder: Path, draw: random.Random) -> str:
        path = draw.choice(sorted(folder.rglob(name)))
        content = json.loads(path.read_text())
        content.pop(DIGEST, None)
        content, told = spoilt(content, draw)
        path.write_text(json.dumps(with_digest(content) if sealed else content))
        return told

    return spoil


def spoil_index(folder: Path, draw: random.Random) -> str:
    """A value or column of the index of a packed set, with the digests that then belong to it."""
    table = pd.read_parquet(folder / INDEX)
    column = draw.choice(list(table))
    if draw.random() < 0.2:
        table = table.drop(columns=column)
    else:
        odd = draw.choice((*(x for x in ODD if isinstance(x, str | bool) or x is None), -1, 10**9, 2**62, -(2**62), 1.5))
        values = table[column].tolist()
        values[draw.randrange(len(values))] = odd
        table[column] = values if draw.random() < 0.5 else [odd] * len(values)
    try:
        table.to_parquet(folder / INDEX)
    except (ValueError, TypeError, OverflowError):  # Parquet does not take such a column.
        return "nothing"
    header = read_json(folder / HEADER) | {"index_digest": digest_of(folder / INDEX, folder / TARGETS_FILE)}
    (folder / HEADER).write_text(json.dumps(with_digest(header)))
    return f"column {column}"


def spoil_head(folder: Path, draw: random.Random) -> str:
    path = folder / "head.safetensors"
    with safe_open(path, framework="pt") as file:
        about, told = spoilt(json.loads(file.metadata()["head"]), draw)
    save_file(load_file(path), path, metadata={"head": json.dumps(about)})
    return told


# Whole folders of runs and results.


def make_run(folder: Path) -> None:
    """A run of two steps; its clips lie beside."""
    clips = folder.parent.parent / "digits"
    for i in range(12):
        (clips / "recordings").mkdir(parents=True, exist_ok=True)
        soundfile.write(clips / "recordings" / f"{i % 3}_{('ann', 'bob')[i % 2]}_{i}.wav", tone(i % 3, 0.3), RATE)
    pretrain_on(clips, folder, "--run_name", "run", "--trainer.max_steps", "2")


def pretrain_on(clips: Path, runs: Path, *more: str) -> int:
    options = OPTIONS | {"data.data_dir": clips, "ckpt_path": runs, "model.encoder.widths": [4, 8], "data.val_split": 0.25}
    options |= {
        "model.criterion.projector.widths": [8, 4],
        "trainer.val_check_interval": 2,
        "trainer.log_every_n_steps": 1,
        "trainer.logger": "false",
    }
    return pretrain([part for name, value in options.items() for part in (f"--{name}", str(value))] + list(more))


def read_resumed(folder: Path) -> str:
    return exit_word(
        pretrain_on(folder.parent / "digits", folder, "--resume_from_checkpoint", str(folder / "run"), "--trainer.max_steps", "3")
    )


def read_resumed_alone(folder: Path) -> str:
    """With the configuration of its folder."""
    return exit_word(pretrain(["--resume_from_checkpoint", str(folder / "run"), "--ckpt_path", str(folder), "--trainer.max_steps", "3"]))


def make_results(folder: Path) -> None:
    clips = folder.parent.parent / "pitches"
    clips.mkdir(parents=True)
    lines = ["path,split,label"]
    for i in range(24):
        soundfile.write(clips / f"{i}.wav", tone(i % 2, 0.3), RATE)
        lines.append(f"{i}.wav,{('train', 'train', 'val', 'test')[i // 2 % 4]},{('low', 'high')[i % 2]}")
    (clips / "labels.csv").write_text("\n".join(lines) + "\n")
    export_encoder(encoder_of(), folder / "model")
    read_results(folder)


def read_results(folder: Path) -> str:
    clips = next(p for p in (folder.parent / "pitches", folder.parent.parent / "pitches") if p.exists())
    where = ["--tasks", "pitch=csv", f"--data_dirs.pitch={clips}", "--out", str(folder / "out"), "--cache_dir", str(folder / "cache")]
    return exit_word(probe([*where, "--checkpoints", str(folder / "model"), "--methods", "[linear,knn]", "--resamples=10"]))


def exit_word(status: int) -> str:
    if status == 2:
        raise UserError("It was refused.")
    return str(status)


# Their classes are the names of folders and files; no file says anything.
UNWRITTEN = ("audiomnist_digit", "audiomnist_speaker", "class_folders", "crema_d", "fsdd_digit", "fsdd_speaker", "librispeech_speaker")
_ALL = [
    *(audio(suffix) for suffix in FORMATS),
    *(annotations(task) for task in TASKS if not task.startswith("synthetic_") and task not in UNWRITTEN),
    Target("checkpoint", lambda folder: save_atomically(content_of_checkpoint(), folder / "last.ckpt"), read_run),
    Target("export", lambda folder: export_encoder(encoder_of(), folder / "model", {"note": "x"}) and None, read_export),
    Target("imported_heads", make_heads, read_heads),
    Target("head", make_probe_head, read_probe_head),
    Target("packed", make_packed, read_packed),
    Target("embedding_cache", make_cache, read_cache, files=r"\.(npy|json)$"),
    Target("content_hashes", make_hashes, read_hashes),
    Target("scan_cache", make_scan, read_scan),
    Target("draws", make_draws, read_draws),
    Target("map", make_map, read_map),
    Target("metrics", make_metrics, read_metrics, ours=False),
    Target(
        "strange_checkpoint",
        lambda folder: save_atomically(content_of_checkpoint(), folder / "last.ckpt"),
        read_run,
        False,
        spoil=spoil_checkpoint,
    ),
    Target(
        "strange_export",
        lambda folder: export_encoder(encoder_of(), folder / "model") and None,
        read_export,
        False,
        spoil=spoil_json("config.json", False),
    ),
    Target("strange_heads", make_heads, read_heads, False, spoil=spoil_json("heads.json", False)),
    Target("strange_head", make_probe_head, read_probe_head, False, spoil=spoil_head),
    Target("strange_header", make_packed, read_packed, False, spoil=spoil_json("packed.json")),
    Target("strange_index", make_packed, read_packed, False, spoil=spoil_index),
    Target("strange_cache", make_cache, read_cache, False, spoil=spoil_json("*.json")),
    Target("strange_hashes", make_hashes, read_hashes, False, spoil=spoil_json("content.json")),
    Target("strange_map", make_map, read_map, False, spoil=spoil_json("map.json")),
    Target("run_folder", make_run, read_resumed, False, files=r"run\.json|\.csv|\.yaml|\.ckpt", cases=200),
    Target("run_alone", make_run, read_resumed_alone, False, files=r"run\.json|\.csv|\.yaml", cases=200),
    Target("strange_run", make_run, read_resumed, False, cases=400, spoil=spoil_checkpoint),
    Target("results", make_results, read_results, False, files="^out/", cases=200),
]
TARGETS = {target.name: target for target in _ALL}
