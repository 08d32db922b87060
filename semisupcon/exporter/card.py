"""The model card: ``README.md`` beside exported weights, with the header that Hugging Face reads.

Facts come from the run (``run_config.yaml``, ``run.json``), the checkpoint and the results of a
probe. What only a person can know (licence, use, limits) is stated as given, or as not stated.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semisupcon.errors import UserError
from semisupcon.files import plain_cell

MARK = "library_name: semisupcon"
SUMMARY = "summary.csv"
NOT_STATED = "Not stated."


@dataclass(frozen=True)
class Line:
    """One line of a summary: what a card lists of it.

    Attributes:
        task, method, metric: names of task, method and metric.
        checkpoint: name of the encoder, with the representation if it is not the embedding.
        value, low, high: the metric on all test clips, and its 95 % interval.
        tracks: number of test clips; of episodes for few-shot methods.
    """

    task: str
    method: str
    metric: str
    checkpoint: str
    value: float
    low: float
    high: float
    tracks: int


@dataclass(frozen=True)
class Card:
    """The content of a model card.

    Attributes:
        name: name of the model.
        measured: name of the encoder in the results.
        encoder: spec of the encoder.
        facts: lines of the table of the encoder: name and value.
        training: lines of the table of the training run; empty if it is unknown.
        data: ``data`` of run.json: clips and hours.
        classes: names of the classes, in the order of the outputs of the head or the criterion.
        head: file name of the head; empty without.
        stated: what the user has stated, by the names of the options.
        results: summary lines of a probe.
        versions: versions of packages: of the export, then of the training.
    """

    name: str
    encoder: Any
    facts: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[str] = ()
    head: str = ""
    stated: Mapping[str, str] = field(default_factory=dict)
    results: Sequence[Line] = ()
    measured: str = ""
    versions: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the card as Markdown."""
        return "\n".join([*self._header(), "", *self._body()]) + "\n"

    def _header(self) -> Iterator[str]:
        """Yield the YAML header. Values are JSON, which is valid YAML."""
        yield "---"
        yield MARK
        if licence := self.stated.get("licence"):
            yield f"license: {json.dumps(licence)}"
        yield f"pipeline_tag: {'audio-classification' if self.head else 'feature-extraction'}"
        yield 'tags: ["audio", "semisupcon", "contrastive-learning"]'
        if own := self._own_results():
            yield "model-index:"
            yield f"- name: {json.dumps(self.name)}"
            yield "  results:"
            for line in own:
                task = json.dumps(line.task)
                yield f"  - task: {{type: audio-classification, name: {task}}}"
                yield f"    dataset: {{type: {task}, name: {task}}}"
                name = f"{line.metric}, {line.method}, 95 % interval {interval(line)}"
                value = f"type: {json.dumps(line.metric)}, value: {line.value:.4f}"
                yield f"    metrics: [{{{value}, name: {json.dumps(name)}}}]"
        yield "---"

    def _own_results(self) -> list[Line]:
        return [line for line in self.results if belongs(line, self.measured)]

    def _body(self) -> Iterator[str]:
        yield f"# {plain(self.name)}"
        yield ""
        yield "An audio encoder pretrained with semisupcon. It maps mono waveforms to embeddings."
        yield from ["", "## Intended use", "", self._stated("use")]
        yield from ["", "## Limits", "", self._stated("limits")]
        yield from ["", "## Licence", ""]
        yield f"Weights: {self._stated('licence')}"
        yield from ["", "## Encoder", "", *table(("property", "value"), self.facts.items())]
        yield from ["", "## Training", ""]
        if self.training:
            yield from table(("setting", "value"), self.training.items())
        else:
            yield "The settings of the run are not known."
        yield from ["", "## Training audio", "", self._stated("data")]
        yield f"Licence: {self._stated('data_licence')}"
        if self.data:
            yield from ["", *table(("part", "clips", "hours"), self._amounts())]
        if self.classes:
            yield from ["", "## Classes", "", self._order(), ""]
            yield from (f"{i}. {plain(name)}" for i, name in enumerate(self.classes))
        yield from ["", "## Results", "", *self._results()]
        yield from ["", "## Use", "", *self._usage()]
        yield from ["", "## Versions", "", *table(("package", "version"), self.versions.items())]

    def _stated(self, name: str) -> str:
        return plain(self.stated[name]) if name in self.stated else NOT_STATED

    def _amounts(self) -> Iterator[tuple[str, Any, Any]]:
        for split, of in (("train", "training"), ("val", "validation")):
            for source in ("labelled", "unlabelled"):
                clips = self.data.get(f"{split}_{source}_clips")
                if clips:
                    yield f"{of}, {source}", clips, self.data.get(f"{split}_{source}_hours", "")

    def _order(self) -> str:
        if self.head:
            return f"The outputs of `{self.head}`, counted from 0:"
        return "The classes of the labels in training, in the order of the targets, counted from 0:"

    def _results(self) -> Iterator[str]:
        if not self.results:
            yield "No results were given."
            return
        yield "Test clips of each task; intervals are 95 % bootstrap intervals over clips."
        yield ""
        rows = [
            (r.task, r.method, r.metric, r.checkpoint, f"{r.value:.3f}", interval(r), r.tracks)
            for r in self.results
        ]
        columns = ("task", "method", "metric", "encoder", "value", "interval", "test clips")
        yield from table(columns, rows)

    def _usage(self) -> Iterator[str]:
        yield "```python"
        yield "import semisupcon"
        yield ""
        yield 'encoder = semisupcon.load_encoder("FOLDER")  # or hf://USER/NAME'
        yield 'vectors = encoder.embed(["a.wav"])  # [1, D] float32'
        yield "```"


def belongs(line: Line, name: str) -> bool:
    """Return whether a result is of the encoder ``name``, with any representation."""
    return line.checkpoint == name or line.checkpoint.startswith(f"{name} (")


def interval(line: Line) -> str:
    """Return the interval of a result as text."""
    return f"{line.low:.3f} to {line.high:.3f}"


def plain(value: Any) -> str:
    """Return text that Markdown shows as it is, on one line."""
    text = " ".join(str(value).split())
    for sign in "\\`*_{}[]|#<>":
        text = text.replace(sign, f"&#{ord(sign)};" if sign in "<>" else f"\\{sign}")
    return text


def table(columns: Sequence[str], rows: Any) -> Iterator[str]:
    """Yield a Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"


def read_results(path: Path, name: str) -> list[Line]:
    """Read the summary of a probe, with the results of an encoder and of those it is compared with.

    Only the first metric of each task and method is returned, which is its main metric.

    Args:
        path: folder of ``semisupcon probe``, or its summary.csv.
        name: name of the encoder in the results.

    Raises:
        UserError: if there is no summary, or it has no results of this encoder.
    """
    file = path / SUMMARY if path.is_dir() else path
    lines: dict[tuple[str, str, str], Line] = {}
    try:
        with file.open(newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text):
                line = line_of(row)
                lines.setdefault((line.task, line.method, line.checkpoint), line)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"--results: {file} is not the summary of a probe: {type(error).__name__}: {error}.\n"
            f"Give the folder that semisupcon probe has written, with {SUMMARY}."
        ) from error
    names = sorted({line.checkpoint for line in lines.values()})
    asked = {(line.task, line.method) for line in lines.values() if belongs(line, name)}
    if not asked:
        raise UserError(
            f"--results has no results of '{name}'; it has those of {', '.join(names[:6])}.\n"
            "Give --results_name with the name of the encoder in the results."
        )
    return [line for line in lines.values() if (line.task, line.method) in asked]


def line_of(row: Mapping[str, str]) -> Line:
    """Convert a row of a summary."""
    text = {name: plain_cell(row[name]) for name in ("task", "method", "metric", "checkpoint")}
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return Line(**text, value=value, low=low, high=high, tracks=int(row["tracks"]))
