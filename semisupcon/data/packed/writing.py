"""Write a packed set in parallel. An interrupted run can be continued.

The format is described in `semisupcon.data.packed.reading`.
"""

import json
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.checkpoints import make_folder
from semisupcon.data.packed.checks import HEADER, INDEX, TARGETS, VERSION, describe, read_header
from semisupcon.data.packed.shards import write_shards
from semisupcon.datasets.base import LabelledClips
from semisupcon.digests import digest_of, read_json, with_digest
from semisupcon.errors import DiskError, UserError
from semisupcon.files import amount_of, atomic_open, atomic_path, leftovers, sweep, write_text
from semisupcon.locks import LOCK, folder_lock

PLAN = "plan.json"
SHARD_SAMPLES = 1 << 28  # 512 MiB
log = logging.getLogger(__name__)


def lay_out(
    files: pd.DataFrame, sample_rate: int, shard_samples: int = SHARD_SAMPLES
) -> pd.DataFrame:
    """Assign ``frames`` (at the new sample rate), ``shard`` and ``offset`` to clips.

    A clip is not split over shards.
    """
    frames = np.maximum(
        1, files["frames"].to_numpy() * sample_rate // files["sample_rate"].to_numpy()
    )
    shard, offset, number, used = np.zeros_like(frames), np.zeros_like(frames), 0, 0
    for i, count in enumerate(frames):
        if used and used + count > shard_samples:
            number, used = number + 1, 0
        shard[i], offset[i] = number, used
        used += count
    return files.assign(
        frames=frames,
        sample_rate=sample_rate,
        shard=shard,
        offset=offset,
        own_rate=files["sample_rate"],
        own_frames=files["frames"],
    )


def pack(
    clips: LabelledClips,
    sources: dict[str, Any],
    sample_rate: int,
    out: str | Path,
    threads: int | None = None,
    shard_samples: int = SHARD_SAMPLES,
) -> Path:
    """Decode, resample and store all clips as a packed set.

    To continue an interrupted run, call the function again with the same clips. Complete shards are
    kept, and an incomplete shard is written again.

    Args:
        clips: the result of `gather`.
        sources: tasks and folders of the clips, by the names of their options in the data module.
        sample_rate: sample rate of the packed audio in Hz.
        out: folder to write.
        threads: number of clips decoded in parallel; one per core by default.
        shard_samples: maximum number of samples of a shard. A longer clip gets a separate shard.

    Returns:
        The written folder.

    Raises:
        UserError: if the folder has another set, if the disk is too small, or if a clip cannot be
            decoded.
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
        crc, clipped = write_shards(out, files, pool)
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
        log.warning("%d samples were beyond full scale and were clipped.", clipped)
    return out


def _fingerprint(files: pd.DataFrame, clips: LabelledClips, sources: dict[str, Any]) -> str:
    digest = blake2b(json.dumps([VERSION, sources, clips.classes]).encode(), digest_size=16)
    digest.update(files.drop(columns=["path", "source_changed"]).to_csv(index=False).encode())
    digest.update(np.ascontiguousarray(clips.targets).data)
    return digest.hexdigest()


def _prepare(out: Path, fingerprint: str, files: pd.DataFrame) -> bool:
    """Prepare the folder; return False if it already contains this packed set."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out is a file, not a folder.\nIn: {out}\nGive a new folder.")
    for name in (HEADER, PLAN):
        if not (out / name).exists():
            continue
        if (found := _fingerprint_in(out, name)) is not None and found != fingerprint:
            raise UserError(
                "The folder holds another packed set, or one of an older version, or clips have "
                f"changed.\nIn: {out}\n"
                "Give another folder, or delete this one."
            )
        if name == HEADER:
            log.info("%s already holds this set.", out)
            return False
        log.info("Continuing %s.", out)
        sweep(out)
        return True
    if out.exists() and set(out.iterdir()) - {out / LOCK, *leftovers(out)}:
        raise UserError(
            f"The folder is not empty and holds no packed set.\nIn: {out}\nGive a new folder."
        )
    make_folder(out)
    sweep(out)
    needed, free = 2 * int(files["frames"].sum()), shutil.disk_usage(out).free
    if needed > free:
        raise DiskError(
            f"The packed set needs {amount_of(needed)}, {amount_of(free)} are free.\nIn: "
            f"{out}\nGive a folder on a larger disk."
        )
    write_text(out / PLAN, json.dumps(with_digest({"fingerprint": fingerprint})))
    return True


def _fingerprint_in(out: Path, name: str) -> Any:
    """Return the fingerprint from the header or plan of a folder; None if the plan is damaged.

    If the plan is damaged, all shards will be written again.

    Raises:
        UserError: if the header is damaged, or if another program has written the header or plan.
    """
    foreign = UserError(
        f"{out / name} was not written by this command.\nGive another folder (--out)."
    )
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
        log.warning("%s cannot be used, %s. All shards are written again.", out / PLAN, error)
        for notes in out.glob("audio-*.json"):
            notes.unlink()
        return None
    if found is None:
        raise foreign
    return found
