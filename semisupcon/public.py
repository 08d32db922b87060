"""Table of the classes and functions of this package that a file may name, by public name.

Checkpoints, exports and heads are untrusted data. Names in these files are looked up only in this
table, so no string in a file can reach another class, function or module. The table contains module
names as text, so that only the needed module is imported.
"""

import importlib
import os
import sys
from typing import Any

from semisupcon.errors import CheckpointError

PACKAGE = "semisupcon"

_MODULES = {
    "semisupcon.encoders.dilated": ("DilatedCNN",),
    "semisupcon.encoders.multiformat": ("MultiFormat",),
    "semisupcon.encoders.multitask": (
        "AdapterResNet1d",
        "AdapterResNet2d",
        "SplitResNet1d",
        "SplitResNet2d",
    ),
    "semisupcon.encoders.panns": ("Res1dNet31", "Res1dNet51"),
    "semisupcon.encoders.pooling": ("AttentionPool", "AveragePool", "MaxPlusMeanPool", "MaxPool"),
    "semisupcon.encoders.resnet": ("ResNet1d", "ResNet2d"),
    "semisupcon.encoders.samplecnn": ("SampleCNN", "SampleCNNSmall", "SampleCNNXL"),
    "semisupcon.encoders.tuneplus": ("TUNePlus",),
    "semisupcon.encoders.vision": (
        "ConvNeXtLarge",
        "ConvNeXtTiny",
        "EfficientNetB0",
        "TimmEncoder",
    ),
    "semisupcon.frontends.base": ("Waveform",),
    "semisupcon.frontends.mel": ("LogMel", "ThreeChannelMel"),
    "semisupcon.frontends.normalization": ("DatasetStatistics", "L2", "NoNormalization", "PerClip"),
    "semisupcon.heads": (
        *("AugmentationPredictor", "COLAHead", "LinearHead", "MLPHead"),
        *("Predictor", "ProjectionHead", "SimCLRHead", "SimSiamProjector"),
    ),
    "semisupcon.augmentations.spectrogram": ("BandShift", "SpecAugment"),
    "semisupcon.objectives.augmentation_prediction": ("AugmentationPrediction",),
    "semisupcon.objectives.byol": ("BYOL",),
    "semisupcon.objectives.cola": ("Bilinear", "COLA", "Cosine"),
    "semisupcon.objectives.cpc": ("CPC", "EmbeddingCPC"),
    "semisupcon.objectives.mfcl": ("MFCL",),
    "semisupcon.objectives.moco": ("MoCo",),
    "semisupcon.objectives.mtslvr": ("MTSLVR",),
    "semisupcon.objectives.semisupcon": ("SemiSupCon",),
    "semisupcon.objectives.simclr": ("SimCLR",),
    "semisupcon.objectives.simsiam": ("SimSiam",),
    "semisupcon.objectives.supervised": ("Supervised",),
    "semisupcon.targets": (
        "ClassSimilarity",
        "Dice",
        "Kernel",
        "SameClip",
        "SameLabels",
        "SharedLabels",
        "Similarity",
    ),
}
CLASSES: dict[str, str] = {name: module for module, names in _MODULES.items() for name in names}

# Functions that checkpoints of version 0.1 name. Since version 0.2, a target stores the values of
# its function instead.
FUNCTIONS = {
    "semisupcon.data.annotations.keys.key_similarity": "semisupcon.datasets.keys.key_similarity",
    "semisupcon.data.annotations.keys.pitch_class_similarity": "semisupcon.datasets.keys.pitch_class_similarity",
}


def public_name(cls: type) -> str | None:
    """Return the public name of a class of this package; None for any other class."""
    return (
        cls.__name__
        if CLASSES.get(cls.__name__) == cls.__module__ and "." not in cls.__qualname__
        else None
    )


def is_ours(path: str) -> bool:
    """Return whether a name in a file refers to this package.

    This is a name without dots, or an import path that begins with the name of the package.
    """
    return "." not in path or path.partition(".")[0] == PACKAGE


def public_class(path: str) -> type:
    """Return the class with a public name.

    For an import path, as version 0.1 stores, its last part is looked up.

    Raises:
        CheckpointError: if the name is not in the table; nothing is imported.
    """
    name = path.rpartition(".")[2]
    if name not in CLASSES:
        raise CheckpointError(
            f"The file names {path!r}, which is not a public class of this version of {PACKAGE}; "
            "nothing was imported."
        )
    return getattr(importlib.import_module(CLASSES[name]), name)


def trusted_roots(trust: Any) -> tuple[str, ...]:
    """Check and return the modules given with ``--trust``, whose classes a file may name.

    Raises:
        CheckpointError: for an invalid module name, and for a module of this package. Public
            classes of this package are always allowed, its other objects never.
    """
    roots = (trust,) if isinstance(trust, str) else tuple(trust)
    for root in roots:
        if not isinstance(root, str) or not all(part.isidentifier() for part in root.split(".")):
            raise CheckpointError(
                f"--trust takes names of modules, such as my_package.encoders; got {root!r}."
            )
        if root.partition(".")[0] == PACKAGE:
            raise CheckpointError(
                f"--trust takes modules outside {PACKAGE}, got '{root}'.\n"
                f"A file may name the public classes of {PACKAGE} without --trust, and no other "
                "objects of it."
            )
    return roots


def lies_in(path: str, roots: tuple[str, ...]) -> bool:
    """Return whether an import path is inside one of the modules ``roots``."""
    return any(path.startswith(f"{root}.") for root in roots)


def trusted_object(path: str, trust: Any, where: str = "The file names") -> Any:
    """Import and return the class or function at an import path outside this package.

    The object must also be *defined* in a trusted module: objects that a trusted module imports are
    not trusted. The current folder is searched last.

    Args:
        path: the import path.
        trust: modules given with ``--trust``.
        where: beginning of the error messages.

    Raises:
        CheckpointError: if the path is outside ``trust`` (checked before any import), cannot be
            imported, or refers to an object that is defined in another module.
    """
    roots = trusted_roots(trust)
    if (
        is_ours(path)
        or not lies_in(path, roots)
        or not all(part.isidentifier() for part in path.split("."))
    ):
        raise CheckpointError(
            f"{where} {path!r}, which is outside {PACKAGE}.\n"
            f"If you know and trust it, allow its module with --trust {path.rpartition('.')[0]}; "
            "nothing was imported."
        )
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (
                module == error.name or module.startswith(f"{error.name}.")
            ):
                continue
            raise CheckpointError(
                f"{where} {path!r}, whose module needs {error.name}, which is not installed."
            ) from error
        for name in parts[cut:]:
            found = getattr(found, name, None)
        if found is None:
            break
        if not lies_in(f"{getattr(found, '__module__', None)}.", roots):
            raise CheckpointError(
                f"{where} {path!r}, which is defined in "
                f"{getattr(found, '__module__', None)}, outside --trust."
            )
        return found
    raise CheckpointError(
        f"{where} {path!r}, which cannot be imported.\nRun the command in the folder that "
        "holds its module, or set PYTHONPATH to it."
    )
