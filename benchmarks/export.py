"""Compare exported encoders with PyTorch: largest difference, and latency in one run.

``python -m benchmarks.export`` exports untrained encoders as ONNX and with torch.export, measures
the largest relative difference on several numbers and lengths of waveforms
(`semisupcon.exporter.parity`), and the median time of one segment on one thread. PyTorch and the
file take turns. ``--check`` exits with 1 if a difference exceeds the limit; times have none.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.augment import interleaved
from benchmarks.bars import Bar, all_met
from semisupcon.encoders import AdapterResNet2d, MultiFormat, ResNet2d, SampleCNN, SampleCNNSmall
from semisupcon.encoders.base import Encoder
from semisupcon.encoders.dilated import DilatedCNN
from semisupcon.encoders.vision import ConvNeXtTiny, EfficientNetB0
from semisupcon.exporter import FORMATS, TOLERANCE, export_graph
from semisupcon.exporter.formats import runner
from semisupcon.exporter.parity import waveforms
from semisupcon.frontends import L2, ThreeChannelMel, mfcl_log_mel
from semisupcon.probing.embeddings.subject import Subject

ENCODERS: dict[str, Callable[[], Encoder]] = {
    "SampleCNN": SampleCNN,
    "log-mel ResNet-18": lambda: ResNet2d(18, None),
    "MFCL (waveform and log-mel)": lambda: MultiFormat(
        DilatedCNN(), ResNet2d(18, None, frontend=mfcl_log_mel())
    ),
    "MT-SLVR, bn adapters": lambda: AdapterResNet2d("bn", frontend=ThreeChannelMel()),
    "MT-SLVR, parallel adapters": lambda: AdapterResNet2d("parallel", frontend=ThreeChannelMel()),
    "EfficientNet-B0 (COLA)": lambda: EfficientNetB0(normalize=L2()),
    "ConvNeXt-Tiny": lambda: ConvNeXtTiny(normalize=L2()),
}
TINY: dict[str, Callable[[], Encoder]] = {
    "SampleCNNSmall": lambda: SampleCNNSmall(widths=[4, 8], stem=20, segment_samples=400)
}


def rows(name: str, encoder: Encoder, folder: Path, forms: list[str], repeats: int) -> list[tuple]:
    """Return encoder, format, largest relative difference, and milliseconds of file and PyTorch."""
    subject, runs, found = Subject(name, encoder, "pretrained"), [], []
    for form in forms:
        done = export_graph(subject, folder, form, tolerance=0.99)
        runs.append(runner(done.path.read_bytes(), form))
        found.append(done.largest)
    x = waveforms(1, encoder.segment_samples, encoder.sample_rate)

    def eager() -> None:
        with torch.inference_mode():
            encoder(x[:, None])

    calls: dict[str, Callable[[], object]] = {"PyTorch": eager}
    calls |= {form: lambda run=run: run(x) for form, run in zip(forms, runs, strict=True)}
    ms = {side: 1000 * seconds for side, seconds in interleaved(calls, repeats).items()}
    each = zip(forms, found, strict=True)
    return [(name, form, largest, ms[form], ms["PyTorch"]) for form, largest in each]


def main(args: list[str] | None = None) -> int:
    """Export and compare all encoders, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="one small encoder, torch.export only")
    parser.add_argument("--only", nargs="*", help="names of encoders")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--check", action="store_true", help="exit with 1 above the limit")
    options = parser.parse_args(args)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made, forms = (TINY, ["torch_export"]) if options.tiny else (ENCODERS, list(FORMATS))
    print("| encoder | format | largest relative difference | ms | PyTorch, ms | segment |")
    print("|---|---|---:|---:|---:|---:|")
    bars = []
    for name in options.only or made:
        torch.manual_seed(0)
        encoder = made[name]().eval()
        seconds = encoder.segment_samples / encoder.sample_rate
        with tempfile.TemporaryDirectory() as folder:
            found = rows(name, encoder, Path(folder), forms, 1 if options.tiny else options.repeats)
        for _, form, largest, taken, eagerly in found:
            print(
                f"| {name} | {form} | {largest:.1e} | {taken:.1f} | {eagerly:.1f} | {seconds:.2g} s |",
                flush=True,
            )
            bars.append(Bar(f"{name}, {form}".replace(" ", "_"), largest, TOLERANCE, "<="))
    torch.set_num_threads(threads)
    return 0 if all_met(bars) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
