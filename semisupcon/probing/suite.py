"""Run a probing suite: every encoder on every task with every method.

The result of each probe is written before the next probe begins. A repeated suite keeps finished
results.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.events import NAME as EVENTS
from semisupcon.digests import digest_of
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.importer import HEADS
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.embedder import Embedder, Features
from semisupcon.probing.embeddings.encoders import RANDOM, Subject
from semisupcon.probing.embeddings.tasks import named
from semisupcon.probing.inputs import load_subjects, rounds
from semisupcon.probing.methods.base import Case, FineTuning, Method, Settings
from semisupcon.probing.methods.by_name import find_method, key_of
from semisupcon.probing.methods.imported_head import checked_classifier, imported_folder
from semisupcon.probing.methods.saved_head import SavedHead
from semisupcon.probing.outcomes import file_name, rows_of, write_facts
from semisupcon.probing.scores.bootstrap import RESAMPLES
from semisupcon.probing.scores.results import RESULTS, Results, Row, identity_of, main_rows
from semisupcon.probing.studies.budgets import LabelBudget, study_budgets
from semisupcon.probing.studies.overlap import records_of, study_overlap
from semisupcon.probing.studies.run import Studies, study_invariance, study_map, study_robustness

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suite:
    """Settings of a probing suite.

    Attributes:
        tasks: names or import paths of tasks; ``name=task`` renames a task.
        checkpoints: checkpoint files, run folders, exported folders, class paths, or "random";
            ``name=checkpoint`` names an encoder.
        methods: probe methods, names of methods, or import paths.
        out: folder for results, predictions and heads.
        embedder: embeds clips and caches the embeddings.
        data_root: folder with one subfolder per task; None if no task needs data.
        data_dirs: folder of a task, by task name; has precedence over ``data_root``.
        task_kwargs: options of the data set of a task, by task name.
        representations: representations of the encoders to probe.
        seeds: seeds of the probes; each probe is repeated with each seed.
        train_share: share of the training clips to use, in (0, 1].
        calibrate: whether random encoders get batch-norm statistics of the training clips.
        shuffle_labels: whether to shuffle the training labels. The results of this control
            experiment should be at chance level.
        settings, fine_tuning: settings of the methods.
        studies: settings of further studies.
        budget: numbers of training labels for the study of label efficiency.
        head: file of a saved head, or folder of an imported checkpoint. The head scores the test
            clips, and nothing is trained.
        head_classes: names of the outputs of an imported head, in their order.
        resamples: number of bootstrap resamples.
        trust: modules outside this package whose classes checkpoints may name.
    """

    tasks: list[str]
    checkpoints: list[str]
    methods: list[str | Method]
    out: Path
    embedder: Embedder
    data_root: Path | None = None
    data_dirs: dict[str, str] = field(default_factory=dict)
    task_kwargs: dict[str, dict] = field(default_factory=dict)
    representations: list[str] = field(default_factory=lambda: ["embedding"])
    seeds: list[int] = field(default_factory=lambda: [0])
    train_share: float = 1.0
    calibrate: bool = True
    shuffle_labels: bool = False
    settings: Settings = field(default_factory=Settings)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    studies: Studies = field(default_factory=Studies)
    budget: LabelBudget = field(default_factory=LabelBudget)
    head: Path | None = None
    head_classes: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    trust: tuple[str, ...] = ()

    def probes(self) -> list[Method]:
        """Return the methods as objects."""
        return [find_method(method) for method in self.methods]


def run(suite: Suite) -> Results:
    """Run all probes that have no result yet, and return all results.

    The results are written to ``results.csv`` in ``suite.out``.

    Raises:
        UserError: for missing or invalid input, before the first probe if possible.
    """
    suite = replace(suite, methods=[*suite.probes()])
    suite.studies.check()
    by_name: dict[str, str] = {}
    for method in suite.probes():
        if by_name.setdefault(method.name, key_of(method)) != key_of(method):
            raise ConfigError(f"Two methods are called '{method.name}'. Rename one of them.")
    suite.budget.methods(suite.probes())
    subjects = _subjects(suite)
    tasks = [task for text in suite.tasks for task in _rounds(suite, text)]
    for method in suite.probes():
        if not any(task.kind in method.kinds for task in tasks):
            kinds = " or ".join(method.kinds)
            raise ConfigError(
                f"{method.name} supports {kinds} tasks only; none of these is one: "
                f"{', '.join(suite.tasks)}."
            )
    for task in tasks:
        suite.settings.check(task.label_kind)
        suite.studies.check_task(task)
    for method in suite.probes():
        for subject in subjects:
            method.check(subject, suite.fine_tuning, suite.trust)
    texts = [text for text in suite.checkpoints if named(text)[1] != RANDOM]
    records = records_of(texts, subjects, len(suite.representations))
    results = Results(suite.out / RESULTS)
    write_facts(subjects, suite.out)
    total = sum(len(_units(suite, task, subject)) for task in tasks for subject in subjects)
    done = 0
    for task in tasks:
        asked = (
            suite.embedder.digests(task),
            task.paths,
            task.split.tolist(),
            task.targets.tolist(),
            task.classes,
            *([task.table[EVENTS].tolist()] if EVENTS in task.table else []),
        )
        usual = task.metric == KINDS[task.label_kind].main
        content = identity_of(*asked, *([] if usual else [task.metric]))
        if task.fold <= 1:
            study_overlap(task, records, suite.out, content)
        for subject in subjects:
            _probe(suite, task, subject, content, results, (done, total))
            done += len(_units(suite, task, subject))
    return results


def _units(suite: Suite, task: LabelledClips, subject: Subject) -> list[tuple[Method, int]]:
    """Return the method and the seed of each probe of an encoder on a task."""
    units = []
    for method in suite.probes():
        seeds = suite.seeds[:1] if method.one_seed else suite.seeds
        if subject.seed is not None:
            seeds = [subject.seed]
        units += [(method, seed) for seed in seeds if task.kind in method.kinds]
    return units


def _subjects(suite: Suite) -> list[Subject]:
    return load_subjects(suite.checkpoints, suite.representations, suite.seeds, suite.trust)


def _rounds(suite: Suite, text: str) -> Iterator[LabelledClips]:
    return rounds(
        text,
        suite.data_root,
        suite.data_dirs,
        suite.task_kwargs.get(named(text)[0], {}),
        need=("test",) if suite.head else ("train", "test"),
        train_share=suite.train_share,
        shuffle_seed=suite.seeds[0] if suite.shuffle_labels else None,
    )


def _probe(
    suite: Suite,
    task: LabelledClips,
    subject: Subject,
    content: str,
    results: Results,
    progress: tuple[int, int],
) -> None:
    """Run all probes and studies of an encoder on a task, and add their rows to ``results``.

    ``content`` is a hash of the clips and labels of the task. ``progress`` has the numbers of
    finished and of all probes, for log messages.
    """
    case = cache(
        lambda: Case(
            *_features(suite, task, subject),
            suite.embedder,
            suite.settings,
            suite.fine_tuning,
            trust=suite.trust,
        )
    )
    told = (content, subject.source, subject.fingerprint(), suite.calibrate)
    probed: list[Row] = []
    for count, (method, seed) in enumerate(_units(suite, task, subject), progress[0] + 1):
        options = method.options(suite.settings, suite.fine_tuning)
        identity = identity_of(*told, key_of(method), options, seed, suite.resamples)
        if not results.done(identity):
            rows = _run(replace(case(), seed=seed), suite, method, identity)
            results.put(rows)
            for row in main_rows(rows):
                words = (
                    f"{count}/{progress[1]}",
                    row.task,
                    f"fold {row.fold}" * bool(row.fold),
                    row.checkpoint,
                    row.method,
                    f"seed {row.seed}",
                )
                log.info("%s: %s %.3f", ", ".join(filter(None, words)), row.metric, row.value)
        probed += [
            row for row in results.rows if row.identity == identity and seed == suite.seeds[0]
        ]
    if task.fold <= 1 and subject.seed in (None, suite.seeds[0]):
        name = file_name(task.name, subject.name, subject.representation)
        study_map(suite.studies, suite.out, name, case, identity_of(*told))
        again = {method.name: method for method in suite.probes() if method.rerun}
        study_robustness(
            suite.studies, suite.out, probed, case, identity_of(*told), suite.resamples, again
        )
        study_invariance(suite.studies, suite.out, name, probed, case, identity_of(*told))
        methods = [
            (method, method.options(suite.settings, suite.fine_tuning))
            for method in suite.budget.methods(suite.probes())
        ]
        about = suite.budget, methods, suite.out
        study_budgets(*about, case, identity_of(*told), suite.resamples)


def _run(case: Case, suite: Suite, method: Method, identity: str) -> list[Row]:
    begin = time.perf_counter()
    outcomes = method.run(case)
    seconds = time.perf_counter() - begin
    rows = [
        rows_of(o, case, method, suite.out, identity, seconds, suite.resamples, suite.train_share)
        for o in outcomes
    ]
    return [row for of_outcome in rows for row in of_outcome]


def score_saved_head(suite: Suite) -> Results:
    """Score the test clips of all tasks with the saved head ``suite.head``.

    The results are returned, and written to ``results.csv`` in ``suite.out``.

    Raises:
        ConfigError: if several encoders are given, or the head and a task have different classes.
        CheckpointError: if the file is not a head, or the head belongs to another encoder.
    """
    assert suite.head is not None
    subjects, results = _subjects(suite), Results(suite.out / RESULTS)
    if len(subjects) != 1:
        raise ConfigError(f"A head belongs to one encoder; {len(subjects)} were given.")
    for text in suite.tasks:
        task = next(_rounds(suite, text))
        task = task.select(task.rows("test"))
        if folder := imported_folder(suite.head):  # Check before clips are embedded.
            checked_classifier(subjects[0], task, folder, suite.head_classes)
        features = suite.embedder.features(subjects[0], task)
        case = Case(
            subjects[0], replace(features, train=features.test), suite.embedder, suite.settings
        )
        identity = identity_of(
            suite.embedder.digests(task),
            task.targets.tolist(),
            subjects[0].fingerprint(),
            *_content_of_head(suite),
        )
        results.put(_run(case, suite, SavedHead(suite.head, suite.head_classes), identity))
    return results


def _content_of_head(suite: Suite) -> list[object]:
    """Return values that identify the saved head of a suite.

    These are the bytes of the file. For an imported head, they are its digest, classes and
    aggregation.
    """
    assert suite.head is not None
    if folder := imported_folder(suite.head):
        digest = digest_of(folder / HEADS)
        return [digest, suite.head_classes, suite.settings.aggregation]
    try:
        return [suite.head.read_bytes().hex()]
    except OSError as error:
        raise CheckpointError(f"{suite.head} is not a saved probe head.") from error


def _features(suite: Suite, task: LabelledClips, subject: Subject) -> tuple[Subject, Features]:
    if subject.source == "random" and suite.calibrate:
        assert subject.seed is not None  # random encoders always have a seed
        subject = suite.embedder.calibrate(subject, task, seed=subject.seed)
    return subject, suite.embedder.features(subject, task)
