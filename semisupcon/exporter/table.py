"""What the command prints about an exported file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from semisupcon.files import amount_of

if TYPE_CHECKING:
    from semisupcon.exporter import Exported


def printed(done: "Exported") -> Iterator[str]:
    """Yield the lines: a table of differences from PyTorch, and a summary."""
    yield f"{'output':<12} {'waveforms':>9} {'samples':>9} {'relative difference':>20}"
    for d in done.differences:
        yield f"{d.output:<12} {d.batch:>9} {d.samples:>9,} {d.relative:>20.1e}"
    about, size = done.about, amount_of(done.path.stat().st_size)
    classes = f", {len(about['classes'])} classes" if "classes" in about else ""
    yield (
        f"Wrote {done.path}: {size}, {about['sample_rate']:,} Hz, {about['shortest_samples']:,} "
        f"samples or more, {about['embedding_dim']} values{classes}; at most {done.largest:.1e} "
        "from PyTorch."
    )
