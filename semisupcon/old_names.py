"""Module names of version 0.1, which still work in this release.

Version 0.2 moved many modules. Importing an old name gives the module with the new name and issues
a DeprecationWarning. Both names refer to the same module object, so classes and patches are the
same under both names, and pickles can be loaded. The next release removes the old names.

Three old modules are now packages of the same name and have no entry: ``semisupcon.data.packed``,
``semisupcon.probing.report`` and ``semisupcon.probing.studies`` export the names that the old
modules had. ``semisupcon.probing.methods`` is also a package; its table of methods is in
``semisupcon.probing.methods.by_name``. ``semisupcon.probing.svg`` gives ``semisupcon.plots``, with
other function names: ``draw_*`` and ``svg_text``.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

OLD_MODULES: dict[str, str] = {
    "semisupcon.augmentations.hear": "semisupcon.commands.hear",
    "semisupcon.callbacks": "semisupcon.training.callbacks",
    "semisupcon.cli": "semisupcon.commands.pretrain",
    "semisupcon.data.annotations": "semisupcon.datasets",
    "semisupcon.data.annotations.any_table": "semisupcon.datasets.any_table",
    "semisupcon.data.annotations.audiomnist": "semisupcon.datasets.audiomnist",
    "semisupcon.data.annotations.audioset": "semisupcon.datasets.audioset",
    "semisupcon.data.annotations.base": "semisupcon.datasets.base",
    "semisupcon.data.annotations.card": "semisupcon.datasets.card",
    "semisupcon.data.annotations.class_folders": "semisupcon.datasets.class_folders",
    "semisupcon.data.annotations.crema_d": "semisupcon.datasets.crema_d",
    "semisupcon.data.annotations.emomusic": "semisupcon.datasets.emomusic",
    "semisupcon.data.annotations.esc": "semisupcon.datasets.esc",
    "semisupcon.data.annotations.fma": "semisupcon.datasets.fma",
    "semisupcon.data.annotations.fsd50k": "semisupcon.datasets.fsd50k",
    "semisupcon.data.annotations.fsdd": "semisupcon.datasets.fsdd",
    "semisupcon.data.annotations.fsdkaggle2018": "semisupcon.datasets.fsdkaggle2018",
    "semisupcon.data.annotations.giantsteps": "semisupcon.datasets.giantsteps",
    "semisupcon.data.annotations.gtzan": "semisupcon.datasets.gtzan",
    "semisupcon.data.annotations.keys": "semisupcon.datasets.keys",
    "semisupcon.data.annotations.labels": "semisupcon.datasets.parsing.labels",
    "semisupcon.data.annotations.layout": "semisupcon.datasets.parsing.finding",
    "semisupcon.data.annotations.librispeech": "semisupcon.datasets.librispeech",
    "semisupcon.data.annotations.magnatagatune": "semisupcon.datasets.magnatagatune",
    "semisupcon.data.annotations.medleydb": "semisupcon.datasets.medleydb",
    "semisupcon.data.annotations.msd": "semisupcon.datasets.msd",
    "semisupcon.data.annotations.mtg_jamendo": "semisupcon.datasets.mtg_jamendo",
    "semisupcon.data.annotations.nsynth": "semisupcon.datasets.nsynth",
    "semisupcon.data.annotations.reading": "semisupcon.datasets.parsing.reading",
    "semisupcon.data.annotations.speech_commands": "semisupcon.datasets.speech_commands",
    "semisupcon.data.annotations.splits": "semisupcon.datasets.parsing.splits",
    "semisupcon.data.annotations.synthetic": "semisupcon.datasets.synthetic",
    "semisupcon.data.annotations.vocalset": "semisupcon.datasets.vocalset",
    "semisupcon.data.annotations.voxceleb": "semisupcon.datasets.voxceleb",
    "semisupcon.data.audio": "semisupcon.audio.reading",
    "semisupcon.data.batch": "semisupcon.batch",
    "semisupcon.data.batching": "semisupcon.data.sampler",
    "semisupcon.data.check": "semisupcon.datasets.care.check",
    "semisupcon.data.command": "semisupcon.commands.data",
    "semisupcon.data.containers": "semisupcon.audio.containers",
    "semisupcon.data.download": "semisupcon.datasets.care.download",
    "semisupcon.data.gathering": "semisupcon.data.sources",
    "semisupcon.data.pack_command": "semisupcon.commands.pack",
    "semisupcon.data.packing": "semisupcon.data.packed.writing",
    "semisupcon.data.quiet": "semisupcon.audio.quiet",
    "semisupcon.data.report": "semisupcon.datasets.care.report",
    "semisupcon.data.resident": "semisupcon.data.packed.on_device",
    "semisupcon.data.scan": "semisupcon.audio.scan",
    "semisupcon.data.splitter": "semisupcon.data.draws",
    "semisupcon.data.streaming": "semisupcon.data.streamed",
    "semisupcon.data.synthetic": "semisupcon.datasets.synthesis",
    "semisupcon.data.synthetic.clips": "semisupcon.datasets.synthesis.clips",
    "semisupcon.data.synthetic.instruments": "semisupcon.datasets.synthesis.instruments",
    "semisupcon.data.synthetic.oscillators": "semisupcon.datasets.synthesis.oscillators",
    "semisupcon.data.synthetic.players": "semisupcon.datasets.synthesis.players",
    "semisupcon.data.synthetic.rooms": "semisupcon.datasets.synthesis.rooms",
    "semisupcon.data.synthetic.scenes": "semisupcon.datasets.synthesis.scenes",
    "semisupcon.data.views": "semisupcon.data.crops",
    "semisupcon.export": "semisupcon.commands.export",
    "semisupcon.loggers": "semisupcon.training.loggers",
    "semisupcon.optimization": "semisupcon.training.optimization",
    "semisupcon.probing.cache": "semisupcon.probing.embeddings.cache",
    "semisupcon.probing.certainty": "semisupcon.probing.scores.bootstrap",
    "semisupcon.probing.command": "semisupcon.commands.probe",
    "semisupcon.probing.embed": "semisupcon.commands.embed",
    "semisupcon.probing.features": "semisupcon.probing.embeddings.embedder",
    "semisupcon.probing.few_shot": "semisupcon.probing.methods.few_shot",
    "semisupcon.probing.finetune": "semisupcon.probing.methods.finetune",
    "semisupcon.probing.foreign": "semisupcon.probing.embeddings.any_module",
    "semisupcon.probing.frozen": "semisupcon.probing.methods.linear",
    "semisupcon.probing.gradients": "semisupcon.probing.methods.gradients",
    "semisupcon.probing.head": "semisupcon.probing.methods.head",
    "semisupcon.probing.html": "semisupcon.probing.report.page",
    "semisupcon.probing.invariance": "semisupcon.probing.studies.invariance",
    "semisupcon.probing.knn": "semisupcon.probing.methods.knn",
    "semisupcon.probing.maps": "semisupcon.probing.studies.maps",
    "semisupcon.probing.metrics": "semisupcon.probing.scores.metrics",
    "semisupcon.probing.outcome": "semisupcon.probing.methods.base",
    "semisupcon.probing.prototypes": "semisupcon.probing.methods.prototypes",
    "semisupcon.probing.results": "semisupcon.probing.scores.results",
    "semisupcon.probing.robustness": "semisupcon.probing.studies.robustness",
    "semisupcon.probing.scoring": "semisupcon.probing.methods.saved_head",
    "semisupcon.probing.subjects": "semisupcon.probing.embeddings.encoders",
    "semisupcon.probing.summary": "semisupcon.probing.scores.summary",
    "semisupcon.probing.svg": "semisupcon.plots",
    "semisupcon.probing.tasks": "semisupcon.probing.embeddings.tasks",
    "semisupcon.runs": "semisupcon.training.runs",
}


class _Alias(Loader):
    """Import loader that returns the module with the new name in place of the old one."""

    def __init__(self, new: str):
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # Restore the spec that the import system replaced.


class OldNames(MetaPathFinder):
    """Import finder for the old names in `OLD_MODULES`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module spec of an old name; None for other names."""
        new = OLD_MODULES.get(fullname)
        if new is None:
            return None
        warnings.warn(
            f"{fullname} is now {new}. The next release removes the old name.",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleSpec(fullname, _Alias(new))


def accept_old_names() -> None:
    """Enable imports of old names. A second call has no effect."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        # Insert the finder first in the list: the usual finder would load the submodules of an old
        # package a second time.
        sys.meta_path.insert(0, OldNames())
