"""Read the tensors of a published file by their published names."""

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
    """Replaces a class that a file names but that is not needed. The real class is not imported."""


# Classes of callbacks. Lightning before 1.5 stored the states of callbacks in checkpoints, under
# their classes.
CALLBACKS = ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
PLACEHOLDERS = [
    (type(path, (Placeholder,), {}), f"pytorch_lightning.callbacks.{path}") for path in CALLBACKS
]

# Pairs of a pattern and a function. The pattern matches the beginning of a tensor name in this
# package. The function maps the groups of the match (numbers as int) to the beginning of the
# published name.
Rules = Sequence[tuple[str, Callable[..., str]]]


@dataclass
class Imported:
    """Contents of a published file: an encoder, heads by name, and the names of dropped tensors."""

    encoder: Encoder | None = None
    heads: dict[str, Head] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def modules(self) -> Iterator[nn.Module]:
        """Yield the encoder, if the file has one, and the heads."""
        yield from (module for module in (self.encoder, *self.heads.values()) if module is not None)


def tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a published file; return them by name.

    The file is a state dictionary, or a training checkpoint with an entry ``state_dict`` or
    ``model``. If all names begin with ``module.``, this prefix is removed.

    Raises:
        CheckpointError: if the file is missing, damaged or unsafe.
    """
    # Checkpoints of CLMR also contain its command line as an argparse.Namespace, which has only
    # plain values.
    with torch.serialization.safe_globals([argparse.Namespace, *PLACEHOLDERS]):
        content = read_checkpoint(path)
    content = next(
        (content[key] for key in ("state_dict", "model") if isinstance(content.get(key), dict)),
        content,
    )
    state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    # DataParallel puts `module.` in front of all names.
    wrapped = all(name.startswith("module.") for name in state)
    return (
        {name.removeprefix("module."): value for name, value in state.items()} if wrapped else state
    )


class Reader:
    """The tensors of a published file. Tensors are removed when they are loaded into a module.

    Attributes:
        state: remaining tensors by published name.
        prefix: prefix of the names of the encoder's tensors in this file.
        copies: names of the duplicates that `drop_copies` has removed.
    """

    def __init__(self, path: str | Path, state: dict[str, Tensor]):
        self.path, self.state, self.prefix = Path(path), state, ""
        self.copies: list[str] = []
        self._missing: list[str] = []

    def drop_copies(self, kept: str, other: str) -> None:
        """Remove the tensors with prefix ``other`` if they equal those with prefix ``kept``."""
        originals = {
            other + name.removeprefix(kept): value
            for name, value in self.state.items()
            if name.startswith(kept)
        }
        copies = [name for name in originals if name in self.state]
        if all(torch.equal(self.state[name], originals[name]) for name in copies):
            for name in copies:
                del self.state[name]
            self.copies += copies

    def find(self, name: str) -> bool:
        """Return whether an encoder tensor with this name exists under any prefix, and set
        ``prefix``.

        Raises:
            CheckpointError: if the file has several such tensors.
        """
        found = [n for n in self.state if n == name or n.endswith(f".{name}")]
        if len(found) > 1:
            raise CheckpointError(f"{self.path} holds more than one encoder: {', '.join(found)}.")
        if found:
            self.prefix = found[0].removesuffix(name)
        return bool(found)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the encoder; () if it is missing."""
        return (
            tuple(self.state[self.prefix + name].shape) if self.prefix + name in self.state else ()
        )

    def count(self, pattern: str) -> int:
        """Count the different values of a pattern's first group in the encoder's tensor names."""
        matches = (re.match(pattern, name.removeprefix(self.prefix)) for name in self.state)
        return len({m[1] for m in matches if m})

    def fill(
        self,
        module: nn.Module,
        rules: Rules,
        parts: tuple[str, ...] = ("",),
        prefix: str | None = None,
    ) -> None:
        """Load the tensors of a module from the file. `refuse_problems` later reports missing
        tensors.

        Args:
            module: module of this package.
            rules: rules that convert names in this package to published names.
            parts: prefixes of the names of those tensors of the module that the file contains.
            prefix: prefix of the published names; None uses the prefix of the encoder.
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
                self._missing.append(
                    f"{theirs} of shape {list(value.shape)} (found {list(found.shape)})",
                )
            else:
                weights[ours] = found
        load_weights(module, weights, self.path)

    def take_mlp(self, prefix: str) -> ProjectionHead | None:
        """Load linear layers ``<prefix>0``, ``<prefix>2``, ... with ReLU between them as a head.

        Returns None if the file has no such layers.
        """
        pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.weight")
        shapes = {
            int(m[1]): value.shape
            for name, value in self.state.items()
            if (m := pattern.fullmatch(name))
        }
        if not shapes or any(len(shape) != 2 for shape in shapes.values()):
            return None
        ordered = [shapes[i] for i in sorted(shapes)]
        head = ProjectionHead(
            [shape[0] for shape in ordered],
            bias=f"{prefix}{min(shapes)}.bias" in self.state,
            in_dim=ordered[0][1],
        )
        self.fill(head, [(r"net\.", lambda: "")], prefix=prefix)
        return head

    def refuse_problems(self, system: str, leftover: Sequence[str]) -> None:
        """Raise a `CheckpointError` that lists all missing and unused tensors, if there are any."""
        if self._missing or leftover:
            raise CheckpointError(
                f"{self.path} is not a known checkpoint of {system}; nothing was written.\n"
                f"Missing: {', '.join(self._missing) or 'nothing'}\nUnknown: "
                f"{', '.join(leftover) or 'nothing'}"
            )


def translate(name: str, rules: Rules) -> str:
    """Convert a tensor name of this package to the published name, by the first matching rule."""
    for pattern, theirs in rules:
        if m := re.match(pattern, name):
            return (
                theirs(*(int(group) if group.isdecimal() else group for group in m.groups()))
                + name[m.end() :]
            )
    return name
