"""Measure the size of a page of ``semisupcon explore``, and its speed in a browser.

    python -m benchmarks.explore [--check] [--points 2000 50000] [--method pca] [--pictures DIR]
    [--no_browser]

The embeddings are random: 12 overlapping groups, whose rows have names of recordings. A page with
labels and clusters is made of them. Chromium opens each page in a window of 1280 x 800 without a
GPU (headless). Two values are measured:

* the seconds from the start of the navigation until the map is drawn and reacts to input, as the
  median of five loads;
* the frames per second while the mouse drags the map for four seconds, as the median.

The limits for 50,000 points are 5 MB, 3 s and 20 frames per second.
"""

import argparse
import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.bars import Bar, all_met
from benchmarks.browsers import browser, why_none
from semisupcon.__main__ import main as semisupcon

MOST_BYTES, MOST_S, FRAMES = 5e6, 3.0, 20.0
NAMES = ("violin", "piano", "guitar", "flute", "drums", "voice")
NAMES += ("bird", "rain", "engine", "dog", "bell", "water")
LOADS, SECONDS = 5, 4.0
RECORD = """() => { const stage = document.getElementById('stage'), times = window.movedAt = [];
  let seen = stage.dataset.frames;
  const look = (now) => { if (stage.dataset.frames !== seen) { seen = stage.dataset.frames; times.push(now); }
    requestAnimationFrame(look); };
  requestAnimationFrame(look); }"""


def write_embeddings(folder: Path, points: int) -> None:
    """Write random embeddings (``e.npy``), their file names (``e.csv``) and ``labels.csv``."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, len(NAMES), points)
    centres = rng.standard_normal((len(NAMES), 64))
    np.save(
        folder / "e.npy", (0.9 * centres[group] + rng.standard_normal((points, 64))).astype("f4")
    )
    names = [
        f"recordings/{NAMES[g]}/session_{i % 97:03d}/{NAMES[g]}_{i:06d}.wav"
        for i, g in enumerate(group)
    ]
    for file, column, values in (
        ("e.csv", "second", [0] * points),
        ("labels.csv", "label", [NAMES[g] for g in group]),
    ):
        with (folder / file).open("w", newline="") as out:
            csv.writer(out).writerows([("file", column), *zip(names, values, strict=True)])


def moving(page) -> float:
    """Drag the map with the mouse and return the median of its frames per second."""
    box = page.locator("#marks").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(RECORD)
    page.mouse.move(x, y)
    page.mouse.down()
    end, step = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        step += 1
        page.mouse.move(x + 60 * np.sin(step / 9), y + 40 * np.cos(step / 7))
    page.mouse.up()
    times = page.evaluate("() => window.movedAt")
    return 1000 / statistics.median(np.diff(times))


def measure(folder: Path, points: int, pictures: Path | None) -> tuple[float, float]:
    """Open the page ``map.html`` in Chromium and measure its speed.

    Args:
        folder: folder of ``map.html``.
        points: number of points of the page, for the names of the screenshots.
        pictures: folder for screenshots; None for no screenshots.

    Returns:
        The median of the seconds until the page reacts to input, and the frames per second.
    """
    loads = []
    with browser() as chromium:
        for load in range(LOADS):
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            page.goto((folder / "map.html").as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            mark = "() => performance.getEntriesByName('interactive')[0].startTime"
            loads.append(page.evaluate(mark) / 1000)
            if load == LOADS - 1:
                frames = moving(page)
            page.close()
        for name, scheme, width, height in (
            ("light", "light", 1280, 800),
            ("dark", "dark", 1280, 800),
            ("narrow", "light", 420, 900),
        ):
            if pictures is None:
                break
            page = chromium.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.goto((folder / "map.html").as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            page.screenshot(path=pictures / f"explore-{points}-{name}.png")
            page.close()
    return statistics.median(loads), frames


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, nargs="+", default=[2000, 50_000])
    parser.add_argument("--method", default="pca")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    parser.add_argument("--no_browser", dest="browser", action="store_false", help="only the size")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--tiny", action="store_true", help="sizes for a test")
    options = parser.parse_args(args)
    if options.tiny:
        options.points = [300]
    reason = why_none() if options.browser else "left out"
    bars = []
    for points in options.points:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_embeddings(folder, points)
            words = ["explore", f"{folder}/e.npy", "--out", f"{folder}/map.html", "--clusters", "8"]
            started = time.perf_counter()
            made = semisupcon(
                [*words, "--labels", f"{folder}/labels.csv", "--method", options.method]
            )
            assert made == 0
            taken, size = time.perf_counter() - started, (folder / "map.html").stat().st_size
            said = f"{points} points: made in {taken:.0f} s, {size / 1e6:.2f} MB"
            bars.append(Bar(f"bytes_{points}", size, MOST_BYTES, "<="))
            if reason:
                print(f"{said}; browser: {reason}", flush=True)
                continue
            seconds, frames = measure(folder, points, options.pictures)
            print(
                f"{said}, answers after {seconds:.2f} s, {frames:.0f} frames a second", flush=True
            )
            bars += [
                Bar(f"seconds_{points}", seconds, MOST_S, "<="),
                Bar(f"frames_{points}", frames, FRAMES),
            ]
    met = all_met(bars)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())
