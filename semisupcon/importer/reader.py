"""Taking tensors out of a published file, strictly, under their published names."""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from semisupcon.checkpoints import load_weights, read_checkpoint
from semisupcon.encoders import Encoder
from semisupcon.errors import CheckpointError
from semisupcon.heads import Head, ProjectionHead


class Placeholder:
    """Stands where a file names a class whose objects we do not need; nothing of that class is imported or run."""


# Before version 1.5 Lightning named the callbacks of a run, whose states it kept beside the weights, by their classes.
CALLBACKS = ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
PLACEHOLDERS = [(type(path, (Placeholder,), {}), f"pytorch_lightning.callbacks.{path}") for path in CALLBACKS]

# Beginnings of our tensor names, as patterns, and their published counterparts as functions of the groups (numbers as int).
Rules = Sequence[tuple[str, Callable[..., str]]]


@dataclass
class Imported:
    """What a file held: an encoder, heads by name, and the names of the tensors that were dropped."""

    encoder: Encoder | None = None
    heads: dict[str, Head] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def modules(self) -> Iterator[nn.Module]:
        """Encoder and heads."""
        yield from (module for module in (self.encoder, *self.heads.values()) if module is not None)


def tensors(path: str | Path) -> dict[str, Tensor]:
    """The model's tensors by name, from a bare state dictionary or from a training checkpoint's ``state_dict`` or ``model``.

    A ``module.`` that all names begin with is left out.

    Raises:
        CheckpointError: if the file is missing, damaged or unsafe.
    """
    # Lightning kept CLMR's command line beside the weights as an argparse.Namespace, a bag of plain values.
    with torch.serialization.safe_globals([argparse.Namespace, *PLACEHOLDERS]):
        content = read_checkpoint(path)
    content = next((content[key] for key in ("state_dict", "model") if isinstance(content.get(key), dict)), content)
    state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    # DataParallel puts all that it wraps below `module`.
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module."): value for name, value in state.items()} if wrapped else state


class Reader:
    """The tensors of a file, taken out one by one.

    Attributes:
        state: what has not been taken yet, by published name.
        prefix: what the encoder's names begin with in this file.
        copies: names of the second copies that `drop_copies` took out.
    """

    def __init__(self, path: str | Path, state: dict[str, Tensor]):
        self.path, self.state, self.prefix = Path(path), state, ""
        self.copies: list[str] = []
        self._missing: list[str] = []

    def drop_copies(self, kept: str, other: str) -> None:
        """Take out the tensors below ``other`` that stand below ``kept`` too, if all of these are equal; else all stay."""
        originals = {other + name.removeprefix(kept): value for name, value in self.state.items() if name.startswith(kept)}
        copies = [name for name in originals if name in self.state]
        if all(torch.equal(self.state[name], originals[name]) for name in copies):
            for name in copies:
                del self.state[name]
            self.copies += copies

    def find(self, name: str) -> bool:
        """Whether the encoder's tensor of that name is there under any prefix, which is kept.

        Raises:
            CheckpointError: if it is there twice.
        """
        found = [n for n in self.state if n == name or n.endswith(f".{name}")]
        if len(found) > 1:
            raise CheckpointError(f"{self.path} holds more than one encoder: {', '.join(found)}.")
        if found:
            self.prefix = found[0].removesuffix(name)
        return bool(found)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one of the encoder's tensors; empty when it is not there."""
        return tuple(self.state[self.prefix + name].shape) if self.prefix + name in self.state else ()

    def count(self, pattern: str) -> int:
        """How many numbers stand in the group of a pattern that the encoder's names begin with."""
        matches = (re.match(pattern, name.removeprefix(self.prefix)) for name in self.state)
        return len({m[1] for m in matches if m})

    def fill(self, module: nn.Module, rules: Rules, parts: tuple[str, ...] = ("",), prefix: str | None = None) -> None:
        """Load a module from the file; what is missing is remembered for `refuse_problems`.

        Args:
            module: one of ours.
            rules: from our names to theirs.
            parts: beginnings of those of our names that the file holds.
            prefix: before their names; None is the encoder's.
        """
        prefix, weights = self.prefix if prefix is None else prefix, module.state_dict()
        for ours, value in weights.items():
            if not ours.startswith(parts):
                continue
            theirs = prefix + translate(ours, rules)
            found = self.state.pop(theirs, None)
            if found is None:
                self._missing.append(theirs)
            elif found.shape != value.shape:
                self._missing.append(f"{theirs} of shape {list(value.shape)} (found {list(found.shape)})")
            else:
                weights[ours] = found
        load_weights(module, weights, self.path)

    def take_mlp(self, prefix: str) -> ProjectionHead | None:
        """Linear layers ``<prefix>0``, ``<prefix>2``, ... with ReLU between them; None when there are none."""
        pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.weight")
        shapes = {int(m[1]): value.shape for name, value in self.state.items() if (m := pattern.fullmatch(name))}
        if not shapes or any(len(shape) != 2 for shape in shapes.values()):
            return None
        ordered = [shapes[i] for i in sorted(shapes)]
        head = ProjectionHead([shape[0] for shape in ordered], bias=f"{prefix}{min(shapes)}.bias" in self.state, in_dim=ordered[0][1])
        self.fill(head, [(r"net\.", lambda: "")], prefix=prefix)
        return head

    def refuse_problems(self, system: str, leftover: Sequence[str]) -> None:
        """Raise a `CheckpointError` that lists all tensors that are missing or left over, if there are any."""
        if self._missing or leftover:
            raise CheckpointError(
                f"{self.path} is no checkpoint of {system} as we know it; nothing was written.\n"
                f"Missing: {', '.join(self._missing) or 'nothing'}\nUnknown: {', '.join(leftover) or 'nothing'}"
            )


def translate(name: str, rules: Rules) -> str:
    """Our tensor name in theirs, by the first rule whose pattern it begins with."""
    for pattern, theirs in rules:
        if m := re.match(pattern, name):
            return theirs(*(int(group) if group.isdecimal() else group for group in m.groups())) + name[m.end() :]
    return name
