"""Draw the figures of docs/augmentations.md: twelve clips before and after an augmentation.

    python -m benchmarks.augmentation_gallery ../shared/data/librosa_examples media

This command reads excerpts of the example recordings of librosa from the first folder, writes
augmentations_1.png to augmentations_3.png into the second folder, and prints the parameters of the
augmentations.
"""

import sys
from io import BytesIO
from pathlib import Path

from semisupcon.augmentations import build_chain
from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.delay import Delay
from semisupcon.augmentations.filters import BandStop, LowPass
from semisupcon.augmentations.frequency import TimeStretch
from semisupcon.augmentations.noise import AddColoredNoise
from semisupcon.augmentations.pitch import PitchShift
from semisupcon.augmentations.published import MTSLVRChain
from semisupcon.augmentations.reverb import Reverb
from semisupcon.augmentations.severity import PARAMETRIC
from semisupcon.augmentations.timing import Fade, SpliceOut, TimeMask
from semisupcon.augmentations.transform import Transform
from semisupcon.commands.hear import augmented_views, draw_clips, read_span

RATE, SECONDS = 22050, 2.7
# For each example: part of the file name, start in seconds, title, augmentations, seed.
CLIPS: list[tuple[str, float, str, Transform | Chain, int]] = [
    ("Sugar_Plum", 8.0, "coloured noise, 10 dB, decay 1", AddColoredNoise(RATE, 10, 10, 1, 1), 5),
    ("Vibe_Ace", 20.0, "low-pass, 1500 Hz", LowPass(RATE, 1500, 1500), 5),
    (
        "Lets_Go_Fishin",
        30.0,
        "band-stop, 2 kHz, width 0.8",
        BandStop(RATE, 2000, 2000, 0.8, 0.8),
        5,
    ),
    ("trumpet", 1.0, "pitch up 4 semitones", PitchShift(RATE, 4, 4), 5),
    (
        "bird",
        0.5,
        "delay, 3 echoes of 250 ms",
        Delay(RATE, 250, 250, volumes=[0.7], repeats=[4], attenuations=[0.7]),
        5,
    ),
    ("198-209", 1.0, "reverb 75 / 50 / 50", Reverb(RATE, 75, 75, 50, 50, 50, 50), 5),
    ("Hungarian", 5.0, "time stretch, rate 0.5", TimeStretch(0.5, 0.5), 5),
    ("3436-172162", 2.0, "time mask", TimeMask(0.3), 5),
    ("humpback", 3.0, "fade in and out", Fade(), 5),
    ("5703-47212", 1.0, "splice-out, 8 cuts", SpliceOut(RATE, 8, 200), 5),
    (
        "Sugar_Plum",
        20.0,
        "SemiSupCon's six, severity 2",
        build_chain(list(PARAMETRIC), 2, RATE, p=1.0),
        9,
    ),
    ("Hungarian", 20.0, "MT-SLVR's random subset", MTSLVRChain(RATE), 9),
]


def main(args: list[str]) -> int:
    source, out = (Path(a) for a in args)
    out.mkdir(exist_ok=True)
    for sheet in range(3):
        before, after = {}, {}
        for name, start, title, transform, seed in CLIPS[4 * sheet : 4 * sheet + 4]:
            path = next(
                p
                for p in sorted(source.glob("*.ogg"))
                if name in p.name and not p.name.endswith(".hq.ogg")
            )
            audio = read_span(path, start, SECONDS, RATE)
            chain = transform if isinstance(transform, Chain) else Chain([transform])
            views, stories = augmented_views(audio, chain, 1, path.name, seed=seed)
            before[f"{name.replace('_', ' ')}, {start:g} s"], after[title] = audio, views[0]
            print(f"augmentations_{sheet + 1}.png  {path.name} at {start:g} s: {stories[0]}")
        save_small(
            draw_clips(before | after, RATE, columns=4), out / f"augmentations_{sheet + 1}.png"
        )
    return 0


def save_small(figure, path: Path) -> None:
    """Write a figure as a PNG file with 128 colours, which reduces the size of the file."""
    from PIL import Image

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=85)
    buffer.seek(0)
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
