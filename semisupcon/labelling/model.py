"""`semisupcon.load`: an encoder, and the head on it, as one object that embeds and labels audio.

Results are those of ``semisupcon embed`` and ``semisupcon predict``, bit for bit.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from semisupcon.audio.decoding import unusable
from semisupcon.audio.listing import audio_files, tell
from semisupcon.embedding import Piece, embed_pieces, frozen, load_pieces, pieces_ahead, whole
from semisupcon.embedding.parts import with_breaks
from semisupcon.errors import AudioError, ConfigError
from semisupcon.labelling.stream import BATCHES_A_PART, Clip, Reading

if TYPE_CHECKING:
    import pandas as pd

    from semisupcon.encoders.base import Encoder
    from semisupcon.exporter import Exported
    from semisupcon.labelling.tagger import Tagger
    from semisupcon.probing.embeddings.subject import Subject

log = logging.getLogger(__name__)
Audio = Clip | Sequence[Clip]


class Model:
    """An encoder and, if given, the head on it.

    Args:
        encoder: the encoder, on its device.
        subject: what the head reads; None without a head.
        tagger: the head.
        device: of the encoder.
        workers: threads that decode ahead.

    Attributes:
        encoder: a module of PyTorch.
        classes: names of the outputs of the head; empty without a head.
        kind: label kind of the head; None without a head.
    """

    def __init__(
        self,
        encoder: "Encoder",
        subject: "Subject | None" = None,
        tagger: "Tagger | None" = None,
        device: str = "cpu",
        workers: int = 2,
    ):
        self.encoder, self.device, self.workers = encoder, device, workers
        self._subject, self._tagger = subject, tagger
        self.classes = tagger.classes if tagger else ()
        self.kind = tagger.kind if tagger else None

    def files(self, audio: Audio) -> list[Clip]:
        """The clips that ``embed`` and ``predict`` read, in their order: the files of a folder
        sorted by path, or what is given.

        Raises:
            UserError: for a path that does not exist, or a folder without audio.
        """
        if isinstance(audio, np.ndarray | Tensor):
            return [audio]
        found: list[Clip] = []
        for clip in [audio] if isinstance(audio, str | Path) else audio:
            if isinstance(clip, str | Path):
                files, listings = audio_files([clip])
                for listing in listings:
                    tell(listing)
                found += files
            else:
                found.append(clip)
        return found

    def embed(
        self,
        audio: Audio,
        per: str = "file",
        on_error: str = "fail",
        batch_size: int | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """Embed a folder, files or waveforms.

        Args:
            audio: a folder, a file, a mono waveform ``[T]`` at the rate of the encoder, or a list
                of files or waveforms.
            per: "file" or "second".
            on_error: "fail" raises the error of the first clip that cannot be used; "skip" logs
                it and gives NaN for this clip (no rows per second).
            batch_size: segments per forward pass; None as in ``semisupcon embed``.

        Returns:
            ``[n, D]`` float32 per file, or a list of n arrays ``[seconds, D]``. The order is that
            of `files`.

        Raises:
            AudioError: see ``on_error``.
        """
        if per not in ("file", "second"):
            raise ConfigError(f"per must be 'file' or 'second', got '{per}'.")
        clips = self.files(audio)
        reading = Reading(self.encoder, self.encoder, None, self.device, batch_size, self.workers)
        width = self.encoder.embedding_dim
        pieces = (
            reading.averages(clips) if per == "file" else self._by_second(clips, reading.batch())
        )
        found = [rows for rows, _ in self._rows(pieces, clips, reading, width, on_error)]
        if per == "second":
            return found
        absent = np.full((1, width), np.nan, np.float32)
        return np.concatenate(
            [np.zeros((0, width), np.float32), *(rows if len(rows) else absent for rows in found)]
        )

    def predict(
        self,
        audio: Audio,
        per: str = "file",
        window: float | None = None,
        hop: float | None = None,
        every: bool = False,
        threshold: float | None = None,
        on_error: str = "fail",
        batch_size: int | None = None,
    ) -> "pd.DataFrame":
        """Label a folder, files or waveforms.

        Args:
            audio, on_error, batch_size: as in `embed`; "skip" leaves a clip out.
            per: "file" or "window".
            window, hop: seconds; None as in ``semisupcon predict``.
            every: whether to return all labels; else the best label (multiclass), or those from
                their threshold on.
            threshold: one threshold for all classes (multilabel, binary).

        Returns:
            One row per file or window and label: ``file`` (``waveform 0`` for the first waveform),
            ``start``, ``end`` (seconds), ``label`` and ``probability``, or ``value`` for regression.

        Raises:
            ConfigError: without a head.
            AudioError: see `embed`.
        """
        import pandas as pd

        from semisupcon.labelling.rows import columns_of, rows_of
        from semisupcon.labelling.windows import windows_for

        if self._tagger is None or self._subject is None:
            raise ConfigError("There is no head to predict with; give semisupcon.load a head.")
        if per not in ("file", "window"):
            raise ConfigError(f"per must be 'file' or 'window', got '{per}'.")
        if per == "file" and (window is not None or hop is not None):
            raise ConfigError("window and hop need per='window'.")
        tagger, encoder = self._tagger, self.encoder
        windows = windows_for(encoder, window, hop) if per == "window" else None
        clips, encode = self.files(audio), tagger.encode(self._subject)
        reading = Reading(encoder, encode, windows, self.device, batch_size, self.workers)
        width = len(tagger.classes)
        lines: list[tuple[str, float, float, str, float]] = []
        pieces = reading.averages(clips)
        each = self._rows(pieces, clips, reading, width, on_error)
        for position, (means, length) in enumerate(each):
            if length:
                name, scores = _name(clips[position], position), tagger.scores(means)
                place = length, encoder.sample_rate, windows
                lines += rows_of(name, scores, *place, tagger, every, threshold).lines()
        values = list(zip(*lines, strict=True)) or [()] * 5
        types = ("str", "float64", "float64", "str", "float32")
        columns = zip(columns_of(tagger.kind), values, types, strict=True)
        return pd.DataFrame({name: pd.Series(of, dtype=kind) for name, of, kind in columns})

    def export(
        self,
        out: str | Path,
        format: str = "onnx",
        per: str | None = None,
        tolerance: float = 1e-5,
        overwrite: bool = False,
    ) -> "Exported":
        """Export the encoder, and the head on it, as one graph from waveforms to results.

        Args:
            out: folder to write.
            format: "onnx" or "torch_export".
            per: "segment" embeds a waveform at once; "file" cuts it into segments and averages, as
                `embed` and `predict` do. None is "file" with a head, else "segment".
            tolerance: largest relative difference from PyTorch with which the file is kept.
            overwrite: whether to replace existing files.

        Returns:
            Path, metadata, and differences from PyTorch.

        Raises:
            UserError: if a package is missing, the encoder cannot be exported, or the file differs.
        """
        from semisupcon.exporter import check_form, export_graph, files_of
        from semisupcon.outputs import check_folder, refuse_existing
        from semisupcon.probing.embeddings.subject import Subject

        check_form(format)
        refuse_existing(files_of(out, format), overwrite, "out")
        check_folder(out, "out")
        subject = self._subject or Subject("model", self.encoder, "pretrained")
        return export_graph(subject.to("cpu"), out, format, self._tagger, per, tolerance)

    def _by_second(self, clips: list[Clip], batch: int) -> Iterator[Piece]:
        def load(item: tuple[int, Clip]) -> Iterator[np.ndarray]:
            def silent(reason: str) -> None:
                raise unusable(_name(item[1], item[0]), reason)

            return load_pieces(*item, self.encoder, "second", silent)

        segments = BATCHES_A_PART.get(self.device.partition(":")[0], 256) * batch
        with frozen(self.encoder):
            pieces = with_breaks(pieces_ahead(load, enumerate(clips), self.workers), segments)
            yield from embed_pieces(self.encoder, pieces, batch, self.device)

    def _rows(
        self,
        pieces: Iterator[Piece],
        clips: list[Clip],
        reading: Reading,
        width: int,
        on_error: str,
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Rows and number of samples of each clip; no rows for one that is left out."""
        if on_error not in ("fail", "skip"):
            raise ConfigError(f"on_error must be 'fail' or 'skip', got '{on_error}'.")
        for item, rows, error in whole(piece for piece in pieces if piece.item >= 0):
            if error is None:
                yield rows, reading.lengths.pop(item, 0)
                continue
            if on_error == "fail" or not isinstance(error, AudioError):
                raise error
            log.warning("left out %s: %s", _name(clips[item], item), error.problem)
            yield np.zeros((0, width), np.float32), 0


def _name(clip: Clip, position: int) -> str:
    return str(clip) if isinstance(clip, str | Path) else f"waveform {position}"


def load(
    path: str | Path,
    head: str | Path | None = None,
    trust: Sequence[str] = (),
    device: str = "cpu",
    representation: str | None = None,
) -> Model:
    """Load an encoder, and a head that was trained on it.

    Args:
        path: checkpoint, run folder, exported or fine-tuned folder, or a baseline such as
            ``mfcc``.
        head: saved head of a probe or of ``semisupcon tag``; None to embed only.
        trust: modules outside this package whose classes the checkpoint may name.
        device: of the encoder.
        representation: what the head reads; None is what it was trained on.

    Raises:
        CheckpointError: for a file that cannot be read, or a head of another encoder.
    """
    from semisupcon.checkpoints import load_encoder
    from semisupcon.probing.baselines import extractor, is_named

    if head is None:
        text = str(path)
        loaded = extractor(text) if is_named(text) else load_encoder(path, trust)
        return Model(cast("Encoder", loaded.to(device)), device=device)
    from semisupcon.labelling.tagger import load_tagger, representation_in
    from semisupcon.probing.embeddings.encoders import load_subject

    subject = load_subject(str(path), representation or representation_in(head), trust)
    tagger = load_tagger(head, subject)
    return Model(subject.to(device).encoder, subject, tagger, device)
