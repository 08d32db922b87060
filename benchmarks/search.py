"""Measure queries of large indices, and the memory of ``semisupcon index`` and ``search``.

    python -m benchmarks.search [--check] [--rows 1000000] [--dim 128] [--files 10000] [--hours 3]
    [--folder DIR]

Two sets of vectors of unit length are written to a temporary folder and mapped into memory. The
values of the first set are independent and normal, the hardest case for an approximate index. In
the second set the vectors form clusters: each is one of 5,000 centres plus noise of equal length.
Exact and approximate queries alternate, and the median of their times is reported. The processor
time of an exact query is printed as well; it depends less on other programs on the same machine.
Recall is the share of the ten exact hits that the approximate search finds.

Then many files of 1 s are indexed and searched, and one long file in windows of 1 s. Each of the
two cases runs in a separate process. Its memory is the highest resident size minus the size after
loading the model. The limits are 100 ms per exact query, 90 % recall on clusters, and 600 MB.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.embed_memory import MB, write_noise
from benchmarks.memory import reset_peak, status
from semisupcon.__main__ import main as semisupcon
from semisupcon.checkpoints import export_encoder, load_encoder
from semisupcon.encoders import SampleCNNSmall
from semisupcon.memory import keep_freed_memory
from semisupcon.retrieval import approximate, most_similar
from semisupcon.retrieval.queries import unit

TOP, MOST_MS, RECALL, MOST_MB = 10, 100.0, 0.9, 600
CENTRES, BLOCK = 5000, 1 << 15


def write_vectors(path: Path, rows: int, dim: int, clustered: bool) -> np.ndarray:
    """Write random vectors of unit length ``[rows, dim]`` and return them as a memory map."""
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((min(CENTRES, rows), dim)))
    out = np.lib.format.open_memmap(path, "w+", "<f4", (rows, dim))
    for start in range(0, rows, BLOCK):
        block = unit(rng.standard_normal((min(BLOCK, rows - start), dim)))
        if clustered:
            block = unit(block + centres[rng.integers(0, len(centres), len(block))])
        out[start : start + len(block)] = block
    out.flush()
    return np.load(path, mmap_mode="r")


def milliseconds(find, query: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Run a query; return its milliseconds, processor milliseconds (all threads), and rows."""
    started, used = time.perf_counter(), time.process_time()
    rows, _ = find(query, TOP)
    return 1000 * (time.perf_counter() - started), 1000 * (time.process_time() - used), rows


def queries(options: argparse.Namespace, folder: Path, clustered: bool) -> list[Bar]:
    """Measure and print the times and the recall for one set of vectors."""
    name = "clusters" if clustered else "random"
    vectors = write_vectors(folder / f"{name}.npy", options.rows, options.dim, clustered)
    places = np.random.default_rng(1).integers(0, len(vectors), options.queries)
    noise = np.random.default_rng(2).standard_normal((options.queries, options.dim))
    asked = unit(vectors[places] + 0.5 * unit(noise))
    graph, built = None, 0.0
    if find_spec("faiss") is not None:
        started = time.perf_counter()
        approximate.build(vectors, folder / f"{name}.faiss")
        built = time.perf_counter() - started
        index = argparse.Namespace(vectors=vectors)
        graph = approximate.Graph(index, folder / f"{name}.faiss")

    def exact(query: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        return most_similar(vectors, query, top)

    exact(asked[0], TOP)  # reads the vectors from disk
    times: dict[str, list[float]] = {"exact": [], "processor": [], "approximate": []}
    found = []
    for query in asked:
        took, used, rows = milliseconds(exact, query)
        times["exact"].append(took)
        times["processor"].append(used)
        if graph is not None:
            took, _, near = milliseconds(graph.most_similar, query)
            times["approximate"].append(took)
            found.append(len(set(rows) & set(near)) / len(rows))
    taken, used = (statistics.median(times[name]) for name in ("exact", "processor"))
    said = f"{name}: {len(vectors)} x {options.dim}, exact {taken:.1f} ms"
    said += f" ({used:.1f} ms of processor time)"
    bars = [Bar(f"exact_ms_{name}", taken, MOST_MS, "<=")]
    if graph is not None:
        taken, recall = statistics.median(times["approximate"]), statistics.mean(found)
        size = (folder / f"{name}.faiss").stat().st_size / 1e6
        said += f", approximate {taken:.1f} ms, recall {recall:.3f}, built in {built:.0f} s, {size:.0f} MB"
        bars += [Bar(f"recall_{name}", recall, RECALL)] if clustered else []
    print(said, flush=True)
    for file in (f"{name}.npy", f"{name}.faiss"):
        (folder / file).unlink(missing_ok=True)
    return bars


def measure(model: str, audio: str, index: str, *more: str) -> dict[str, float]:
    """Run ``semisupcon index`` and ``search`` in this process and measure them.

    Args:
        model: folder of the encoder.
        audio: folder to index; its first file is the query.
        index: folder of the new index.
        *more: further options of ``semisupcon index``.

    Returns:
        For ``index`` and ``search``: the exit status (``_status``), the seconds (``_s``), and the
        highest memory minus the memory after loading the model (``_mb``).
    """
    keep_freed_memory()
    encoder = load_encoder(model)
    before = status("VmRSS")
    del encoder
    first = next(path for path in sorted(Path(audio).rglob("*.*")))
    found: dict[str, float] = {}
    for name, words in {
        "index": ["index", audio, "--checkpoint", model, "--out", index, "--device", "cpu", *more],
        "search": ["search", str(first), "--index", index, "--include_query"],
    }.items():
        reset_peak()
        started = time.perf_counter()
        found[f"{name}_status"] = semisupcon(words)
        found[f"{name}_s"] = time.perf_counter() - started
        found[f"{name}_mb"] = MB * (status("VmHWM") - before)
    return found


def memory(options: argparse.Namespace, folder: Path) -> list[Bar]:
    """Measure and print the memory for many short files and for a long file."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=16_000, segment_samples=32_000)
    model = str(export_encoder(encoder, folder / "model"))
    (folder / "many").mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(options.files + 16_000)
    for i in range(options.files):
        sf.write(folder / "many" / f"{i:06d}.wav", noise[i : i + 16_000], 16_000)
    (folder / "long").mkdir()
    write_noise(folder / "long" / "a.flac", 60 * options.hours)
    windows = ("--per", "window", "--window", "1", "--hop", "1")
    bars = []
    for name, more in (("many", ()), ("long", windows)):
        case = [model, str(folder / name), str(folder / f"{name}-index"), *more]
        command = [sys.executable, "-m", "benchmarks.search", "--case", *case]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        assert not found["index_status"], done.stderr
        assert not found["search_status"], done.stderr
        what = f"{options.files} files" if name == "many" else f"{options.hours:g} hours"
        for step in ("index", "search"):
            print(
                f"{step} {what}: {found[f'{step}_mb']:.0f} MB, {found[f'{step}_s']:.1f} s",
                flush=True,
            )
            bars.append(Bar(f"{step}_mb_{name}", found[f"{step}_mb"], MOST_MB, "<="))
    return bars


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--files", type=int, default=10_000, help="0 leaves the memory out")
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument("--case", nargs=argparse.REMAINDER, help="measure one case in this process")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--tiny", action="store_true", help="sizes for a test")
    options = parser.parse_args(args)
    if options.case:
        print(json.dumps(measure(*options.case)))
        return 0
    if options.tiny:
        options.rows, options.dim, options.queries, options.files = 3000, 16, 5, 4
        options.hours = 0.003
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bars = [
            bar for clustered in (False, True) for bar in queries(options, Path(folder), clustered)
        ]
        if options.files:
            bars += memory(options, Path(folder))
        met = all_met(bars)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
