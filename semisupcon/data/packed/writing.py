"""Writing packed audio (`semisupcon.data.packed.reading`): parallel, and able to go on where it was interrupted."""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from semisupcon.audio.blocks import BLOCK, read_blocks
from semisupcon.audio.pcm import to_int16
from semisupcon.checkpoints import make_folder
from semisupcon.data.packed.checks import HEADER, INDEX, TARGETS, VERSION, describe, read_header
from semisupcon.data.packed.reading import shard_name
from semisupcon.datasets.base import LabelledClips
from semisupcon.digests import digest_of, read_json, with_digest
from semisupcon.errors import DiskError, UserError
from semisupcon.files import amount_of, atomic_open, atomic_path, leftovers, sweep, write_text
from semisupcon.locks import LOCK, folder_lock

Result = TypeVar("Result")
PLAN = "plan.json"
SHARD_SAMPLES = 1 << 28  # 512 MiB
log = logging.getLogger(__name__)


def lay_out(files: pd.DataFrame, sample_rate: int, shard_samples: int = SHARD_SAMPLES) -> pd.DataFrame:
    """Where every clip will lie: ``frames`` at the new rate, ``shard`` and ``offset``; a clip is never cut in two."""
    frames = np.maximum(1, files["frames"].to_numpy() * sample_rate // files["sample_rate"].to_numpy())
    shard, offset, number, used = np.zeros_like(frames), np.zeros_like(frames), 0, 0
    for i, count in enumerate(frames):
        if used and used + count > shard_samples:
            number, used = number + 1, 0
        shard[i], offset[i] = number, used
        used += count
    return files.assign(
        frames=frames, sample_rate=sample_rate, shard=shard, offset=offset, own_rate=files["sample_rate"], own_frames=files["frames"]
    )


def pack(
    clips: LabelledClips,
    sources: dict[str, Any],
    sample_rate: int,
    out: str | Path,
    threads: int | None = None,
    shard_samples: int = SHARD_SAMPLES,
) -> Path:
    """Decode, resample and store all clips.

    An interrupted run is gone on with when called again with the same clips: complete shards stay, an incomplete one is made again.

    Args:
        clips: what `gather` found.
        sources: tasks and folders that they come from, by their names in the data module.
        sample_rate: Hz.
        out: the folder to make.
        threads: how many clips are decoded at once; by default one a core.
        shard_samples: samples of a shard at most, but for a longer clip.

    Returns:
        The folder.

    Raises:
        UserError: if the folder holds another set, the disk is too small, or a clip cannot be decoded.
    """
    with folder_lock(out, "pack", "give another --out"):
        return _pack(clips, sources, sample_rate, Path(out), threads, shard_samples)


def _pack(
    clips: LabelledClips,
    sources: dict[str, Any],
    sample_rate: int,
    out: Path,
    threads: int | None,
    shard_samples: int,
) -> Path:
    files = lay_out(clips.table, sample_rate, shard_samples)
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        described = list(pool.map(describe, files["path"]))
        files = files.assign(
            source_size=[d.size for d in described],
            source_changed=[d.changed for d in described],
            source_digest=[d.digest for d in described],
        )
        fingerprint = _fingerprint(files, clips, sources)
        if not _prepare(out, fingerprint, files):
            return out
        crc, clipped = _write_shards(out, files, pool)
    files = files.drop(columns=["own_rate", "own_frames"]).assign(crc=crc)
    with atomic_path(out / INDEX) as partial:
        files.to_parquet(partial)
    with atomic_open(out / TARGETS, "wb", needed=clips.targets.nbytes) as file:
        np.save(file, clips.targets)
    header = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "sample_rate": sample_rate,
        "clips": len(files),
        "hours": round(float(files["frames"].sum()) / sample_rate / 3600, 3),
        "clipped_samples": clipped,
        "sources": sources,
        "classes": list(clips.classes),
        "kind": clips.kind,
        "shards": files.groupby("shard")["frames"].sum().tolist(),
        "index_digest": digest_of(out / INDEX, out / TARGETS),
    }
    write_text(out / HEADER, json.dumps(with_digest(header), indent=1))
    for leftover in [out / PLAN, *out.glob("audio-*.json")]:
        leftover.unlink()
    if clipped:
        log.warning("%d samples lay beyond full scale and were clipped.", clipped)
    return out


def _fingerprint(files: pd.DataFrame, clips: LabelledClips, sources: dict[str, Any]) -> str:
    digest = blake2b(json.dumps([VERSION, sources, clips.classes]).encode(), digest_size=16)
    digest.update(files.drop(columns=["path", "source_changed"]).to_csv(index=False).encode())
    digest.update(np.ascontiguousarray(clips.targets).data)
    return digest.hexdigest()


def _prepare(out: Path, fingerprint: str, files: pd.DataFrame) -> bool:
    """Make the folder ready; False if it holds this very set already."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out is a file and no folder.\nIn: {out}\nGive a new folder.")
    for name in (HEADER, PLAN):
        if not (out / name).exists():
            continue
        if (found := _fingerprint_in(out, name)) is not None and found != fingerprint:
            raise UserError(
                f"The folder holds another packed set, or one of an older version, or clips have changed since.\nIn: {out}\n"
                "Give another folder, or delete this one."
            )
        if name == HEADER:
            log.info("%s holds this set already.", out)
            return False
        log.info("Going on with %s.", out)
        sweep(out)
        return True
    if out.exists() and set(out.iterdir()) - {out / LOCK, *leftovers(out)}:
        raise UserError(f"The folder is not empty, and holds no packed set.\nIn: {out}\nGive a new folder.")
    make_folder(out)
    sweep(out)
    needed, free = 2 * int(files["frames"].sum()), shutil.disk_usage(out).free
    if needed > free:
        raise DiskError(
            f"The packed set needs {amount_of(needed)}, {amount_of(free)} are free.\nIn: {out}\nGive a folder on a larger disk."
        )
    write_text(out / PLAN, json.dumps(with_digest({"fingerprint": fingerprint})))
    return True


def _fingerprint_in(out: Path, name: str) -> Any:
    """Which set a folder is of, by its header or plan. A damaged plan is left out with the shards made so far: None.

    Raises:
        UserError: for a header that is damaged, and for a header or plan that another program wrote.
    """
    foreign = UserError(f"{out / name} was not written by this command.\nGive another folder (--out).")
    try:
        if name == HEADER:
            return read_header(out)["fingerprint"]
    except UserError as error:
        if any(out.glob("audio-*")):
            raise
        raise foreign from error
    try:
        found = read_json(out / PLAN).get("fingerprint")
    except (OSError, ValueError) as error:
        if not any(out.glob("audio-*")) and (out / PLAN).stat().st_size:
            raise foreign from error
        log.warning("%s cannot be used, %s. All shards are made again.", out / PLAN, error)
        for notes in out.glob("audio-*.json"):
            notes.unlink()
        return None
    if found is None:
        raise foreign
    return found


def _notes(out: Path, number: int, clips: int, samples: int) -> np.ndarray | None:
    """Checksum and clipped samples of each clip of a complete shard, ``[clips, 2]``; None where it is to be made (again)."""
    path, notes = out / shard_name(number), out / f"{shard_name(number)}.json"
    if not (path.exists() and notes.exists()):
        return None
    try:
        found = np.array(json.loads(notes.read_text()))
        sound = found.shape == (clips, 2) and found.dtype.kind == "i" and (found >= 0).all() and path.stat().st_size == 2 * samples
    except (OSError, ValueError, OverflowError, RecursionError):
        sound = False
    if not sound:
        log.warning("%s or what is noted about it is damaged; it is made again.", path)
    return found.astype(np.int64) if sound else None


def _write_shards(out: Path, files: pd.DataFrame, pool: ThreadPoolExecutor) -> tuple[np.ndarray, int]:
    """All shards that are not there yet; gives the checksum of every clip, and how many samples were clipped."""
    crc, clipped = np.zeros(len(files), np.int64), 0
    seconds = files["frames"].sum() / files["sample_rate"].iloc[0]
    with tqdm(total=round(float(seconds)), desc="Packing", unit="s", unit_scale=True, disable=None) as bar:
        for _, clips in files.groupby("shard"):
            number = int(clips["shard"].iloc[0])
            path, notes = out / shard_name(number), out / f"{shard_name(number)}.json"
            samples = int(clips["frames"].sum())
            if (results := _notes(out, number, len(clips), samples)) is None:
                rows = clips[["path", "own_rate", "own_frames", "sample_rate", "frames", "offset"]].itertuples(index=False, name=None)
                written_down = []
                with atomic_path(path) as unfinished:
                    # Closed in this order: no thread writes into a file that is closed.
                    with _reserve(unfinished, samples) as store, closing(_ahead(pool, partial(_write_clip, store), rows)) as written:
                        for result, frames in zip(written, clips["frames"], strict=True):
                            written_down.append(result)
                            bar.update(frames / clips["sample_rate"].iloc[0])
                    write_text(notes, json.dumps(written_down))
                results = np.array(written_down, np.int64)
            else:
                bar.update(samples / clips["sample_rate"].iloc[0])
            crc[clips.index] = results[:, 0]
            clipped += int(results[:, 1].sum())
    return crc, clipped


def _reserve(path: Path, samples: int) -> BinaryIO:
    """A new file of int16 samples, its space taken at once: a full disk is noticed before anything is decoded."""
    file = path.open("w+b")
    try:
        os.posix_fallocate(file.fileno(), 0, 2 * samples)
    except OSError as error:
        file.close()
        free = shutil.disk_usage(path.parent).free
        raise DiskError(
            f"There is no room for the next shard ({error.strerror}): it needs {amount_of(2 * samples)}, "
            f"{amount_of(free)} are free.\nIn: {path.parent}\nMake room, and call again."
        ) from error
    return file


def _write_clip(store: BinaryIO, path: str, own_rate: int, own_frames: int, sample_rate: int, frames: int, offset: int) -> tuple[int, int]:
    """Write one clip at its place, block after block; gives its checksum, and how many samples were clipped.

    Rounding may leave it a sample or two longer or shorter than ``frames``: it is cut, or continued with zeros.
    """
    crc = clipped = done = 0

    def put(block: np.ndarray) -> None:
        nonlocal crc, clipped, done
        samples, beyond = to_int16(block[: frames - done])
        data, at = samples.data.cast("B"), 2 * (offset + done)
        while len(data):
            written = os.pwrite(store.fileno(), data, at)
            data, at = data[written:], at + written
        crc, clipped, done = zlib.crc32(samples.data, crc), clipped + beyond, done + len(samples)

    for block in read_blocks(path, sample_rate, own_frames):
        put(block)
    while done < frames:
        put(np.zeros(min(frames - done, BLOCK), np.float32))
    return crc, clipped


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[..., Result],
    items: Iterable[tuple],
) -> Generator[Result, None, None]:
    """Results in order, with no more than a few clips in memory a thread."""
    waiting = []
    try:
        for item in items:
            waiting.append(pool.submit(function, *item))
            if len(waiting) >= 4 * pool._max_workers:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)
