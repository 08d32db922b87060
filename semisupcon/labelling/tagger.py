"""A saved head with the encoder that it was trained on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from semisupcon.errors import CheckpointError
from semisupcon.probing.methods.calibrating import THRESHOLD, Calibration
from semisupcon.probing.methods.head import ProbeHead, load_head, of_segments, scores_of
from semisupcon.probing.methods.head_header import calibration_in
from semisupcon.probing.methods.imported_head import named_classifier

if TYPE_CHECKING:
    from semisupcon.probing.embeddings.subject import Subject

ROWS = 4096  # windows that the head reads at once


@dataclass(frozen=True)
class Tagger:
    """A head, and what its outputs mean.

    Attributes:
        head: maps embeddings to classes or values.
        classes: C names of the outputs.
        aggregation: what is averaged over the segments of a file or window.
        calibration: temperature and thresholds; None for a head that has none.
    """

    head: ProbeHead
    classes: tuple[str, ...]
    aggregation: str = "embedding"
    calibration: Calibration | None = None

    @property
    def kind(self) -> str:
        """The label kind."""
        return self.head.kind

    def thresholds(self) -> np.ndarray:
        """The probability from which each class is predicted, ``[C]``."""
        found = self.calibration.thresholds if self.calibration else ()
        return np.array(found or [THRESHOLD] * len(self.classes))

    def encode(self, subject: "Subject") -> Callable[[Tensor], Tensor]:
        """The function from waveforms ``[N, 1, T]`` to what is averaged, ``[N, W]``."""
        return lambda x: of_segments(self.head.to(x.device), subject(x), self.aggregation)

    def scores(self, means: np.ndarray) -> np.ndarray:
        """Probabilities or values ``[k, C]`` of averages ``[k, W]`` of one file or its windows.

        The head reads one file at a time, so that results do not depend on the other files.
        """
        temperature = self.calibration.temperature if self.calibration else 1.0
        head = self.head.cpu()
        blocks = range(0, len(means), ROWS)
        each = [scores_of(head, means[i : i + ROWS], self.aggregation, temperature) for i in blocks]
        return np.concatenate([np.zeros((0, len(self.classes)), np.float32), *each])

    def selected(
        self, scores: np.ndarray, every: bool = False, threshold: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the predicted labels: the best one of multiclass labels, those from
        their threshold on of others, and all values. Labels of a row are in descending order.

        Args:
            scores: ``[k, C]``.
            every: select all labels.
            threshold: one threshold for all classes.
        """
        if every or self.kind == "regression":
            chosen = np.ones(scores.shape, dtype=bool)
        elif self.kind == "multiclass":
            chosen = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        else:
            chosen = scores >= (self.thresholds() if threshold is None else threshold)
        rows, columns = np.nonzero(chosen)
        if self.kind != "regression":
            order = np.lexsort((columns, -scores[rows, columns], rows))
            rows, columns = rows[order], columns[order]
        return rows, columns


def load_tagger(path: str | Path, subject: "Subject") -> Tagger:
    """Load a saved head for the encoder that it was trained on, which is on the CPU.

    Raises:
        CheckpointError: for a file that is not a head, has no classes, or belongs to another
            encoder.
    """
    head, about = load_head(path)
    if not about.get("classes"):
        raise CheckpointError(f"{path} names no classes, so its outputs have no labels.")
    if about.get("encoder") != subject.fingerprint():
        raise CheckpointError(
            f"The head was trained on another encoder (or representation) than '{subject.name}'."
            f"{_its_encoder(Path(path))}\nHead: {path}"
        )
    with torch.inference_mode():
        width = subject(torch.zeros(1, 1, subject.encoder.segment_samples)).shape[1]
    if width != head.net.in_dim:
        raise CheckpointError(
            f"The head takes embeddings of width {head.net.in_dim}; those of '{subject.name}' are "
            f"{width} wide.\nHead: {path}"
        )
    aggregation = about.get("aggregation", "embedding")
    return Tagger(head.eval(), tuple(about["classes"]), aggregation, calibration_in(about))


def imported_tagger(
    folder: Path,
    subject: "Subject",
    classes: Sequence[str],
    kind: str = "multilabel",
    aggregation: str = "embedding",
) -> Tagger:
    """The classifier of an imported checkpoint of CLMR or SemiSupCon, which names no classes.

    Args:
        folder: what ``semisupcon import`` wrote.
        subject: the encoder of the same folder.
        classes: names of the outputs in their order, or a text file with one per line.
        kind: their label kind.
        aggregation: what is averaged over the segments of a file or window.

    Raises:
        CheckpointError: for a folder without classifier, or another encoder.
        ConfigError: for other numbers of outputs and classes.
    """
    head, names = named_classifier(subject, folder, classes)
    return Tagger(ProbeHead(head, kind).eval(), tuple(names), aggregation)


def representation_in(path: str | Path) -> str:
    """The representation that a saved head was trained on.

    Raises:
        CheckpointError: for a file that is not a head.
    """
    return load_head(path)[1].get("representation", "embedding")


def _its_encoder(head: Path) -> str:
    """The fine-tuned encoder beside a head in the results of a probe, as advice."""
    folder = head.parent.parent / "finetuned" / head.name.removesuffix(".safetensors")
    return f"\nGive --checkpoint {folder}." if folder.is_dir() else ""


def uncalibrated(tagger: Tagger) -> str:
    """A sentence for a head without temperature and thresholds; empty for others."""
    if tagger.calibration is not None or tagger.kind == "regression":
        return ""
    used = "temperature 1" + ", thresholds 0.5" * (tagger.kind != "multiclass")
    return f"The head holds no temperature and no thresholds; {used} are used."


def blocks_by_file(
    rows: Iterator[np.ndarray], sizes: Iterator[int], width: int
) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Cut consecutive rows into blocks ``[k, W]`` of one file each, of at most `ROWS` rows.

    Yields:
        Position of the file, the block, and whether it is the last of the file.
    """
    kept = np.zeros((0, width), np.float32)
    for position, size in enumerate(sizes):
        while size:
            count = min(ROWS, size)
            while len(kept) < count:
                kept = np.concatenate([kept, next(rows)])
            size -= count
            yield position, kept[:count], not size
            kept = kept[count:]
