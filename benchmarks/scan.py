"""Measure the scan of audio files: cold, warm, and with a million files.

``python -m benchmarks.scan [--files 20000] [--links 1000000] [--check]`` writes files of a second in
four formats, and compares the first scan of each format with reading the headers alone
(``soundfile.info`` in one thread), in turn. A second scan looks all files up in the cache. For a
million files, hard links to one file are made, and the cache is filled without reading them; the
listing of the folder and the warm scan are then timed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import soundfile as sf

from benchmarks.bars import Bar, all_met
from benchmarks.cores import all_cores
from semisupcon.audio import opening
from semisupcon.audio import scan as scanning
from semisupcon.audio.listing import list_audio

FORMATS = ("wav", "flac", "ogg", "mp3")
TIMES, WARM = 2.0, 2.0
_IN_A_FOLDER, _MOST_LINKS = 1000, 50_000


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def made(folder: Path, count: int, form: str) -> list[str]:
    """Write files of a second of noise at 22,050 Hz in one format."""
    draw, paths = np.random.default_rng(0), []
    for i in range(count):
        path = folder / form / f"{i // _IN_A_FOLDER}" / f"{i}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.1 * draw.standard_normal(22_050), 22_050)
        paths.append(str(path))
    return paths


def cold(paths: list[str], folder: Path, rounds: int) -> tuple[float, float]:
    """Return the seconds of the headers alone and of the first scan, medians of several rounds."""
    headers, scans = [], []
    for number in range(rounds):
        headers.append(timed(lambda: [sf.info(path) for path in paths]))
        opening._plans.clear()
        with mock.patch.dict(os.environ, SEMISUPCON_CACHE=str(folder / f"cache-{number}")):
            scans.append(timed(lambda: scanning.scan(paths)))
    return median(headers), median(scans)


def million(folder: Path, count: int) -> tuple[float, float]:
    """Return the seconds of the listing and of the warm scan of many links to one file."""
    root = folder / "links"
    for i in range(count):
        if i % _MOST_LINKS == 0:
            source = folder / f"source-{i}.wav"
            sf.write(source, np.full(8000, 0.1), 8000)
        if i % _IN_A_FOLDER == 0:
            (part := root / f"{i // _IN_A_FOLDER:06d}").mkdir(parents=True)
        os.link(source, part / f"{i}.wav")
    names: list[str] = []
    listing = timed(lambda: names.extend(list_audio(root).files))
    paths = [os.path.join(root, name) for name in names]
    facts = scanning.FileFacts(8000, 8000, 1, "")
    with mock.patch.dict(os.environ, SEMISUPCON_CACHE=str(folder / "cache-links")):
        with mock.patch.object(scanning, "examine", return_value=facts):
            scanning.scan(paths)
        return listing, timed(lambda: scanning.scan(paths))


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000, help="of all formats together")
    parser.add_argument("--links", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    options = parser.parse_args(args)
    print(f"{all_cores()} cores\n\n| format | files | headers alone | cold scan | times |")
    print("|---|---:|---:|---:|---:|")
    bars, sums = [], np.zeros(2)
    with tempfile.TemporaryDirectory() as name:
        folder, every = Path(name), []
        for form in FORMATS:
            paths = made(folder, options.files // len(FORMATS), form)
            every += paths
            headers, scanned = cold(paths, folder / form, options.rounds)
            sums += (headers, scanned)
            row = f"| {form} | {len(paths):,} | {headers:.2f} s | {scanned:.2f} s"
            print(f"{row} | {scanned / headers:.1f} |", flush=True)
            bars.append(Bar(f"{form}_over_headers", scanned / headers, TIMES, "<="))
        headers, scanned = sums
        row = f"| all | {len(every):,} | {headers:.2f} s | {scanned:.2f} s"
        print(f"{row} | {scanned / headers:.1f} |")
        with mock.patch.dict(os.environ, SEMISUPCON_CACHE=str(folder / "cache")):
            scanning.scan(every)
            warm = timed(lambda: scanning.scan(every))
        listing, links = million(folder, options.links)
    print(f"\n{len(every):,} files, warm: {warm:.2f} s")
    print(f"{options.links:,} links: listed in {listing:.2f} s, warm scan {links:.2f} s")
    return int(not all_met([*bars, Bar("warm_seconds", links, WARM, "<=")]) and options.check)


if __name__ == "__main__":
    sys.exit(main())
