"""Build augmentation chains from the options ``--data.aug_list`` and
``--data.severity_modifier``.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from semisupcon.augmentations import mixing, spectrogram  # noqa: F401, registers their class names
from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.foreign import PACKAGES, Foreign
from semisupcon.augmentations.names import current_name
from semisupcon.augmentations.published import CLMRChain, MTSLVRChain
from semisupcon.augmentations.severity import (
    CORRUPTIONS,
    PARAMETRIC,
    TIERS,
    chain_probability,
    filtering,
)
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError, import_failure, nearest
from semisupcon.spec import Recorded

MAX_SEVERITY = 5


class AugmentationList(list):
    """The value of the option ``aug_list``, as the user has written it; see `build_chain`.

    Entries are names or ``{"class_path": ..., "init_args": ...}``.
    """


CHAINS = {"clmr": CLMRChain, "mtslvr": MTSLVRChain}


def build_chain(
    aug_list: list[str | dict[str, Any] | Transform | Chain] | None,
    severity_modifier: float,
    sample_rate: int,
    p: float | None = None,
    shared_choices: bool = True,
) -> Chain | None:
    """Build a chain of augmentations in the order of a list.

    Args:
        aug_list: list of augmentations. An entry is one of:

            - the name of an augmentation or corruption of SemiSupCon, or of a tier ("tier_5" to
              "tier_10");
            - the name or class name of another transform of semisupcon, with default arguments;
            - a transform object;
            - ``{"class_path": ..., "init_args": {...}}``, a class of semisupcon (the class name
              suffices), torchaudio-augmentations, torch-audiomentations or your own module
              (``sample_rate`` is set automatically);
            - a whole chain: "clmr", "mtslvr", or a `Chain`. It must be the only entry.

            The names of version 0.1 are also accepted.
        severity_modifier: severity from 0 (no augmentation) to 5; 2 in the paper. It changes only
            the six parametric augmentations of SemiSupCon.
        sample_rate: sample rate in Hz.
        p: probability that a clip is augmented. None is the published value, min(1, 0.4 *
            severity). Ignored for whole chains, which define their own probability.
        shared_choices: whether the decision to augment and the choice of filter are drawn once for
            all views of a clip, as published. False draws them for each view.

    Returns:
        The chain, or None for an empty list or severity 0.

    Raises:
        ConfigError: for an unknown name, a severity outside 0 to 5, or a whole chain together with
            other entries.
    """
    if not 0 <= severity_modifier <= MAX_SEVERITY:
        raise ConfigError(
            f"severity_modifier lies between 0 (no augmentation) and {MAX_SEVERITY}, got "
            f"{severity_modifier}."
        )
    if not aug_list or severity_modifier == 0:
        return None
    entries = [
        name
        for entry in aug_list
        for name in (TIERS.get(entry, (entry,)) if isinstance(entry, str) else (entry,))
    ]
    transforms = [_made(entry, severity_modifier, sample_rate, shared_choices) for entry in entries]
    chains = [t for t in transforms if isinstance(t, Chain)]
    if chains:
        if len(transforms) > 1:
            raise ConfigError("A whole chain of augmentations must be the only entry of aug_list.")
        return chains[0]
    operators = [t for t in transforms if isinstance(t, Transform)]
    probability = chain_probability(severity_modifier) if p is None else p
    return Chain(operators, probability, shared_choices)


def _made(
    entry: str | dict[str, Any] | Transform | Chain,
    severity: float,
    sample_rate: int,
    shared_choices: bool,
) -> Transform | Chain:
    if isinstance(entry, Transform | Chain):
        return entry
    if isinstance(entry, Mapping):
        return _from_class_path(entry, sample_rate)
    if isinstance(entry, str) and "." in entry:  # the entry is an import path
        return _from_class_path({"class_path": entry}, sample_rate)
    name = current_name(str(entry))
    if name == "filtering":
        return filtering(severity / 2, sample_rate, shared_choices)
    if name in PARAMETRIC:
        return PARAMETRIC[name](severity / 2, sample_rate)
    if name in CORRUPTIONS:
        return CORRUPTIONS[name](sample_rate)
    if name in CHAINS:
        return CHAINS[name](sample_rate)
    classes = _classes()
    named = {bare: getattr(cls, "name", bare) for bare, cls in classes.items() if cls is not Chain}
    by_name = {key: bare for bare, called in named.items() if called for key in (called, bare)}
    if name in by_name:
        return _from_class_path({"class_path": by_name[name]}, sample_rate)
    known = (*PARAMETRIC, *CORRUPTIONS, *TIERS, *CHAINS)
    meant = nearest(name, (*known, *by_name))
    raise ConfigError(
        f"There is no augmentation {entry!r}.{meant}\nKnown: {', '.join(known)}; or give a class "
        "or class_path."
    )


def _class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ConfigError(
            f"The module {module!r} has no augmentation "
            f"{name!r}.{nearest(name, vars(sys.modules[module]))}"
        ) from error
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"The augmentation {path!r} cannot be imported: {import_failure(error)}"
        ) from error


def _class_named(name: str) -> type[Recorded]:
    """Return the imported subclass of `Transform` or `Chain` with this class name."""
    classes = _classes()
    if name not in classes:
        raise ConfigError(
            f"There is no augmentation class {name!r}.{nearest(name, classes)}\nKnown: "
            f"{', '.join(sorted(classes))}."
        )
    return classes[name]


def _classes() -> dict[str, type[Recorded]]:
    return {c.__name__: c for base in (Transform, Chain) for c in (base, *_below(base))}


def _below(cls: type[Recorded]) -> Iterator[type[Recorded]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def _from_class_path(entry: Mapping[str, Any], sample_rate: int) -> Transform | Chain:
    path, arguments = entry.get("class_path"), dict(entry.get("init_args") or {})
    if not isinstance(path, str) or set(entry) - {"class_path", "init_args"}:
        raise ConfigError(
            f"An augmentation is a name or {{class_path: ..., init_args: ...}}, got {dict(entry)}."
        )
    if path.partition(".")[0] in PACKAGES:
        return Foreign(path, arguments, sample_rate)
    cls = _class_at(path) if "." in path else _class_named(path)
    if not (
        isinstance(cls, type) and issubclass(cls, Transform | Chain) and issubclass(cls, Recorded)
    ):
        raise ConfigError(
            f"The augmentation {path!r} is not a subclass of semisupcon.augmentations.Transform or "
            "Chain."
        )
    if "transforms" in arguments:
        arguments["transforms"] = [
            _made(t, 2.0, sample_rate, True) for t in arguments["transforms"]
        ]
    if "sample_rate" in inspect.signature(cls.__init__).parameters:
        arguments.setdefault("sample_rate", sample_rate)
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"The augmentation {path!r} does not take these arguments: {error}."
        ) from error
