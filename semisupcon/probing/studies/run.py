"""Run the studies of a suite in addition to probes: maps, robustness curves, invariance tables.

Finished studies are not repeated.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from semisupcon.augmentations.chains import build_chain
from semisupcon.datasets.base import LabelledClips
from semisupcon.embedding import first_segment, progress, read_ahead
from semisupcon.errors import ConfigError
from semisupcon.files import write_csv
from semisupcon.probing.embeddings.embedder import with_test
from semisupcon.probing.methods.base import Case, Method
from semisupcon.probing.methods.head import load_head, predict
from semisupcon.probing.scores.bootstrap import bootstrap
from semisupcon.probing.scores.metrics import main_first
from semisupcon.probing.scores.results import ROBUSTNESS, Results, Row, identity_of, main_rows
from semisupcon.probing.studies.invariance import Moved, invariance, weight_share
from semisupcon.probing.studies.maps import TITLES, load_map, make_map, save_map
from semisupcon.probing.studies.robustness import corrupt_with, corruptions
from semisupcon.random import permutation


@dataclass(frozen=True)
class Studies:
    """Settings of the studies.

    Attributes:
        projection: map of the test embeddings: "tsne", "umap" or "none".
        colour_by: column of the annotations that colours the map; None for the class.
        robustness: families of corruptions: "severity", "only", "plus", "tiers".
        invariance: augmentations whose effect on the embedding is measured.
        invariance_clips: maximum number of training clips for this measurement.
        invariance_noise: level of white noise that is added to clips and augmented clips, in dB
            relative to full scale; None for no noise.
    """

    projection: str = "tsne"
    colour_by: str | None = None
    robustness: tuple[str, ...] = ()
    invariance: tuple[str, ...] = ()
    invariance_clips: int = 500
    invariance_noise: float | None = None

    def check(self) -> None:
        """Check the names of projection, families and augmentations before clips are embedded.

        Raises:
            ConfigError: for an unknown name, with the most similar known name.
        """
        if self.projection not in (*TITLES, "none"):
            raise ConfigError(
                f"Unknown projection '{self.projection}'. Known projections: {', '.join(TITLES)}, "
                "none."
            )
        corruptions(self.robustness)
        for operator in self.invariance:
            build_chain([operator], 2.0, 16000, p=1.0)

    def check_task(self, task: LabelledClips) -> None:
        """Check that the annotations of a task have the column ``colour_by``.

        Raises:
            ConfigError: if the column is missing, with a list of the columns.
        """
        if self.colour_by is not None and self.colour_by not in task.table:
            columns = ", ".join(task.table.columns)
            problem = f"The annotations of '{task.name}' have no column '{self.colour_by}'"
            raise ConfigError(f"{problem}; they have: {columns}.")


def map_file(out: Path, case_name: str, projection: str) -> Path:
    """Return the path of the map of an encoder on a task."""
    return out / "maps" / f"{case_name}-{projection}.json"


def study_map(
    studies: Studies, out: Path, name: str, case: Callable[[], Case], identity: str
) -> None:
    """Write the map of an encoder on a task, unless the file is up to date.

    Args:
        studies: settings of the studies.
        out: folder of the results.
        name: name of task and encoder, for the file.
        case: function that embeds the task; called only if the map must be computed.
        identity: hash of the task and the encoder.
    """
    file = map_file(out, name, studies.projection)
    identity = identity_of(identity, studies.projection, studies.colour_by)
    if studies.projection == "none" or (
        file.exists() and (found := load_map(file)) is not None and found.identity == identity
    ):
        return
    it = case()
    if len(it.features.test) >= 3:
        save_map(
            make_map(
                it.subject, it.features, studies.projection, studies.colour_by, identity=identity
            ),
            file,
        )


def study_robustness(
    studies: Studies,
    out: Path,
    probed: list[Row],
    case: Callable[[], Case],
    identity: str,
    resamples: int,
    again: Mapping[str, Method],
) -> None:
    """Score the probes of an encoder on corrupted test audio, and write ``robustness.csv``.

    The column ``detail`` of this file has the family and the position of the corruption.

    Args:
        studies: settings of the studies.
        out: folder of the results.
        probed: result rows of the encoder on the task.
        case: function that embeds the task; called only if a score is missing.
        identity: hash of the task and the encoder.
        resamples: number of bootstrap resamples.
        again: methods that save no head, by name. They are run again with the corrupted test clips.
    """
    results = Results(out / ROBUSTNESS)
    units = {
        (row.method, row.representation): row
        for row in main_rows(probed)
        if row.head or row.method in again
    }
    for point in corruptions(studies.robustness):
        identities = {
            key: identity_of(identity, asdict(point), row.identity, resamples)
            for key, row in units.items()
        }
        todo = [key for key in units if not results.done(identities[key])]
        if not todo:
            continue
        it = case()
        task = it.features.task
        test = task.select(task.rows("test"))
        corrupted = with_test(
            it.features,
            it.embedder.corrupted(
                it.subject, test, corrupt_with(point, it.subject.encoder.sample_rate)
            ),
        )
        rows = []
        for key in todo:
            base = units[key]
            if base.method in again:
                outcome = again[base.method].run(replace(it, features=corrupted, seed=base.seed))[0]
                if outcome.scores is None:
                    raise ConfigError(
                        f"Method '{base.method}' returns no scores, so it cannot be run on "
                        "corrupted clips."
                    )
                scores = outcome.scores
            else:
                scores = predict(
                    load_head(out / base.head)[0], corrupted.test.chunks, base.aggregation
                )
            kind, targets = task.label_kind, corrupted.test.targets
            drawn = bootstrap(kind, targets, scores, task.classes, resamples)
            for metric, value in main_first(task.metric, drawn.values).items():
                if metric == "ece":  # Left out: robustness is about the other metrics.
                    continue
                low, high = drawn.interval(metric)
                row = replace(
                    base,
                    method=f"{base.method}, {point.family} {point.position}",
                    detail=f"{point.family}/{point.position}",
                    metric=metric,
                    value=value,
                    low=low,
                    high=high,
                    identity=identities[key],
                    predictions="",
                    head="",
                )
                rows.append(row)
        results.put(rows)


def study_invariance(
    studies: Studies,
    out: Path,
    name: str,
    probed: list[Row],
    case: Callable[[], Case],
    identity: str,
) -> None:
    """Measure the invariance of an encoder to augmentations, unless the files exist.

    ``invariance/NAME.csv`` has the distances per head and operator, and ``NAME-weights.csv`` the
    share of each head in linear probes.

    Args:
        studies: settings of the studies.
        out: folder of the results.
        name: name of task and encoder, for the files.
        probed: result rows of the encoder on the task.
        case: function that embeds the task; called only if the files do not exist.
        identity: hash of the task and the encoder.
    """
    about = identity_of(
        identity, studies.invariance, studies.invariance_clips, studies.invariance_noise
    )
    file = out / "invariance" / f"{name}-{about[:8]}.csv"
    if not studies.invariance or file.exists():
        return
    it = case()
    task, encoder = it.features.task, it.subject.encoder
    rows = task.rows("train")
    rows = rows[permutation(len(rows), "invariance clips").numpy()][: studies.invariance_clips]
    clips = progress(
        read_ahead(lambda i: first_segment(task.files[i], encoder), rows),
        len(rows),
        "reading for invariance",
    )
    segments = torch.from_numpy(np.concatenate(list(clips)))
    names, noise = [task.paths[i] for i in rows], studies.invariance_noise
    moved = invariance(
        encoder, segments, names, studies.invariance, it.embedder.batch_size or 32, noise_db=noise
    )
    for old in file.parent.glob(f"{name}-????????*.csv"):
        old.unlink()
    files = dict.fromkeys(row.head for row in probed if row.head and row.method == "linear")
    shares = [s for s in (weight_share(load_head(out / f)[0], encoder) for f in files) if s]
    if shares:
        means = [(head, f"{np.mean([s[head] for s in shares]):.4f}") for head in shares[0]]
        write_csv(file.with_name(f"{file.stem}-weights.csv"), ("head", "share"), means)
    values = (
        [f"{v:.5g}" if isinstance(v, float) else v for v in asdict(m).values()] for m in moved
    )
    lines = ([task.name, it.subject.name, *row] for row in values)
    write_csv(file, ["task", "checkpoint", *(f.name for f in fields(Moved))], lines)
