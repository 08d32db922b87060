"""From audio to embeddings with a frozen encoder: clips are cut into segments, batched across clips, and embedded once.

A clip is cut into consecutive segments of the length the encoder was pretrained on. The last one is filled up with the clip's own beginning
(circular padding, as short clips are padded in training), so that every sample counts and no silence is added. Nothing here imports more than
torch, numpy and the audio reader: this is what a person who only wants embeddings installs.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.audio.values import waveform
from semisupcon.errors import AudioError, ConfigError


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Run modules in eval mode without gradients, then give every submodule its own mode back; parameters and buffers stay as they are."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def cut(audio: np.ndarray, segment: int) -> np.ndarray:
    """All consecutive segments ``[n, segment]`` of a clip ``[T]``, n = ceil(T / segment); the last continues with the clip's beginning."""
    return np.resize(audio, (-(-len(audio) // segment), segment))


def windows_per_second(audio: np.ndarray, segment: int, sample_rate: int) -> np.ndarray:
    """Segments ``[n, segment]`` centred on each of the n = ceil(T / sample_rate) seconds of a clip, moved inwards at its ends."""
    seconds = -(-len(audio) // sample_rate)
    if len(audio) <= segment:
        return np.broadcast_to(cut(audio, segment), (seconds, segment))
    starts = (np.arange(seconds) * sample_rate + (sample_rate - segment) // 2).clip(0, len(audio) - segment)
    return np.stack([audio[s : s + segment] for s in starts])


def embed_segments(
    encode: Callable[[Tensor], Tensor], clips: Iterable[np.ndarray], batch_size: int = 32, device: str | torch.device = "cpu"
) -> Iterator[np.ndarray]:
    """Embed the segments of clip after clip, in batches that run across clips.

    Args:
        encode: ``[N, 1, segment]`` float32 on ``device`` to embeddings ``[N, D]``.
        clips: arrays ``[n_i, segment]``, all of the same segment.
        batch_size: segments a forward pass.

    Yields:
        ``[n_i, D]`` float32 for every clip, in order.
    """
    sizes, inputs, outputs = deque(), [], []
    waiting = ready = 0

    def run(rows: np.ndarray) -> np.ndarray:
        return encode(torch.from_numpy(rows)[:, None].to(device)).float().cpu().numpy()

    for clip in clips:
        sizes.append(len(clip))
        inputs.append(clip)
        waiting += len(clip)
        if waiting >= batch_size:
            rows = np.concatenate(inputs)
            whole = waiting - waiting % batch_size
            outputs += [run(rows[i : i + batch_size]) for i in range(0, whole, batch_size)]
            inputs, waiting, ready = [rows[whole:]], waiting - whole, ready + whole
            done = np.concatenate(outputs)
            while sizes and sizes[0] <= ready:
                size = sizes.popleft()
                yield done[:size]
                done, ready = done[size:], ready - size
            outputs = [done]
    if waiting:
        outputs.append(run(np.concatenate(inputs)))
    if sizes:
        done = np.concatenate(outputs) if outputs else np.zeros((0, 0), np.float32)
        for size in sizes:
            yield done[:size]
            done = done[size:]


def read_ahead(function: Callable[[Any], Any], items: Iterable[Any], workers: int = 2) -> Iterator[Any]:
    """``function(item)`` for every item, in order, a few items ahead in threads (decoding and resampling release the interpreter)."""
    items = iter(items)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = deque(pool.submit(function, item) for item in islice(items, 4 * workers))
        try:
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            for future in running:
                future.cancel()


def progress(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    """Pass items on and show how many of ``total`` are done, at what rate and for how long still, on a terminal."""
    begin = shown = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if sys.stderr.isatty() and (now - shown > 0.2 or count == total):
            shown, rate = now, count / max(now - begin, 1e-9)
            text = f"\r{label}: {count}/{total}, {rate:.1f} a second, {(total - count) / rate:.0f} s left \033[K"
            print(text, end="\n" if count == total else "", file=sys.stderr, flush=True)


def embed(
    encoder: nn.Module,
    clips: Iterable[str | Path | np.ndarray | Tensor] | str | Path,
    per: str = "file",
    task: str | None = None,
    batch_size: int = 32,
) -> np.ndarray | list[np.ndarray]:
    """Embeddings of audio files or waveforms, where the encoder is (CPU or GPU); what ``encoder.embed`` calls.

    Args:
        encoder: an `Encoder`.
        clips: paths of audio files (any rate and number of channels), or mono waveforms ``[T]`` at the encoder's sample
            rate: floating point with full scale 1, or int8, int16, int32, uint8, which are scaled.
        per: "file" for one embedding a clip (the mean over its segments), "second" for one a second.
        task: the part of the embedding of one task, in encoders that have several.
        batch_size: segments a forward pass.

    Returns:
        ``[n, D]`` float32 per file, or a list of ``[seconds, D]`` per second.

    Raises:
        AudioError: for a file or waveform that cannot be used (`semisupcon.audio.values`), with its name or position.
    """
    clips = [clips] if isinstance(clips, str | Path) else list(clips)
    if per not in ("file", "second"):
        raise ConfigError(f"Embeddings are per file or second, not per '{per}'.")
    device = next((p.device for p in encoder.parameters()), "cpu")
    with frozen(encoder):
        segments = read_ahead(lambda item: load_segments(*item, encoder, per), enumerate(clips))
        rows = list(embed_segments(lambda x: encoder(x, task=task), segments, batch_size, device))
    if per == "second":
        return rows
    return np.stack([r.mean(axis=0) for r in rows]) if rows else np.zeros((0, encoder.embedding_dim), np.float32)


def load_segments(position: int, clip: str | Path | np.ndarray | Tensor, encoder: nn.Module, per: str = "file") -> np.ndarray:
    """Read one clip and cut it as the encoder needs it: ``[n, segment]``."""
    if isinstance(clip, str | Path):
        from semisupcon.audio.reading import read

        audio, name = read(clip, sample_rate=encoder.sample_rate), clip
    else:
        name = f"waveform {position}"
        audio = waveform(clip.numpy(force=True) if isinstance(clip, Tensor) else clip, name)
    if len(audio) == 0:
        raise AudioError(f"{name} holds no samples.")
    if per == "second":
        return windows_per_second(audio, encoder.segment_samples, encoder.sample_rate)
    return cut(audio, encoder.segment_samples)
