"""The classes and functions of this package that a file may name, by public name.

A checkpoint, an export or a head is data from elsewhere. What it names is looked up here and nowhere else, so no string in a file
can reach another class, a function or a module. The table holds modules as text: only the one that is asked for is imported.
"""

import importlib
from typing import Any

from semisupcon.errors import CheckpointError

PACKAGE = "semisupcon"

_MODULES = {
    "semisupcon.encoders.dilated": ("DilatedCNN",),
    "semisupcon.encoders.multiformat": ("MultiFormat",),
    "semisupcon.encoders.multitask": ("AdapterResNet1d", "AdapterResNet2d", "SplitResNet1d", "SplitResNet2d"),
    "semisupcon.encoders.panns": ("Res1dNet31", "Res1dNet51"),
    "semisupcon.encoders.pooling": ("AttentionPool", "AveragePool", "MaxPlusMeanPool", "MaxPool"),
    "semisupcon.encoders.resnet": ("ResNet1d", "ResNet2d"),
    "semisupcon.encoders.samplecnn": ("SampleCNN", "SampleCNNSmall", "SampleCNNXL"),
    "semisupcon.encoders.tuneplus": ("TUNePlus",),
    "semisupcon.encoders.vision": ("ConvNeXtLarge", "ConvNeXtTiny", "EfficientNetB0", "TimmEncoder"),
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
    "semisupcon.targets": ("ClassSimilarity", "Dice", "Kernel", "SameClip", "SameLabels", "SharedLabels", "Similarity"),
}
CLASSES: dict[str, str] = {name: module for module, names in _MODULES.items() for name in names}

# Functions that checkpoints of version 0.1 name. Since then a target stores the values of its function.
FUNCTIONS = {
    "semisupcon.data.annotations.keys.key_similarity": "semisupcon.datasets.keys.key_similarity",
    "semisupcon.data.annotations.keys.pitch_class_similarity": "semisupcon.datasets.keys.pitch_class_similarity",
}


def public_name(cls: type) -> str | None:
    """The public name of a class of this package, or None for any other class."""
    return cls.__name__ if CLASSES.get(cls.__name__) == cls.__module__ and "." not in cls.__qualname__ else None


def is_ours(path: str) -> bool:
    """Whether a name in a file means something of this package: a bare name, or an import path that begins with the package."""
    return "." not in path or path.partition(".")[0] == PACKAGE


def public_class(path: str) -> type:
    """The class of a public name. Import paths, as version 0.1 stored them, are looked up by their last part.

    Raises:
        CheckpointError: for a name that is not in the table; nothing is imported.
    """
    name = path.rpartition(".")[2]
    if name not in CLASSES:
        raise CheckpointError(f"The file asks for {path!r}, which is no public class of this version of {PACKAGE}; nothing was imported.")
    return getattr(importlib.import_module(CLASSES[name]), name)


def trusted_roots(trust: Any) -> tuple[str, ...]:
    """Modules outside this package whose classes a file may name, as given with ``--trust``.

    Raises:
        CheckpointError: for what is no module name, and for this package: its public classes need no trust, and the rest gets none.
    """
    roots = (trust,) if isinstance(trust, str) else tuple(trust)
    for root in roots:
        if not isinstance(root, str) or not all(part.isidentifier() for part in root.split(".")):
            raise CheckpointError(f"--trust takes the names of modules, such as my_package.encoders; got {root!r}.")
        if root.partition(".")[0] == PACKAGE:
            raise CheckpointError(
                f"--trust names modules outside {PACKAGE}, got '{root}'.\n"
                f"A file may name the public classes of {PACKAGE} without it, and nothing else of it."
            )
    return roots


def lies_in(path: str, roots: tuple[str, ...]) -> bool:
    """Whether an import path lies below one of these modules."""
    return any(path.startswith(f"{root}.") for root in roots)


def trusted_object(path: str, trust: Any) -> Any:
    """The class or function at an import path outside this package.

    The object must also be *defined* in a trusted module: a trusted module may import others, whose contents are not trusted with it.

    Raises:
        CheckpointError: for a path outside ``trust``, before anything is imported; for one that cannot be imported, or leads elsewhere.
    """
    roots = trusted_roots(trust)
    if is_ours(path) or not lies_in(path, roots) or not all(part.isidentifier() for part in path.split(".")):
        raise CheckpointError(
            f"The file asks for {path!r}, which lies outside {PACKAGE}.\n"
            f"If you know and trust it, allow its module with --trust; nothing was imported."
        )
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise CheckpointError(f"The file asks for {path!r}, whose module needs {error.name}, which is not installed.") from error
        for name in parts[cut:]:
            found = getattr(found, name, None)
        if found is None:
            break
        if not lies_in(f"{getattr(found, '__module__', None)}.", roots):
            raise CheckpointError(f"The file asks for {path!r}, which is defined in {getattr(found, '__module__', None)}, outside --trust.")
        return found
    raise CheckpointError(f"The file asks for {path!r}, which cannot be imported.")
