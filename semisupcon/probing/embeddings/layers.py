"""Use the outputs of the blocks of an encoder, or its frames before pooling, as representations.

Both are cached like embeddings, with one row per segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.subject import Subject


@dataclass(frozen=True)
class LayeredSubject(Subject):
    """Subject whose representation is the mean output of each block, concatenated.

    A block is a child of the trunk that has submodules. A stack of equal blocks counts as several
    blocks. The means are over frames and frequency bands.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the mean outputs of all blocks in order, ``[N, sum of widths]``."""
        return torch.cat([mean for _, mean in self.layers(x)], dim=1)

    def layers(self, x: Tensor) -> list[tuple[str, Tensor]]:
        """Return the name and mean output ``[N, width]`` of each block for audio ``[N, 1, T]``."""
        found: dict[str, list[Tensor]] = {}

        def keep(name: str) -> Any:
            def hook(module: nn.Module, given: Any, output: Any) -> None:
                outputs = output if isinstance(output, list | tuple) else [output]
                means = [o.flatten(2).mean(dim=2) for o in outputs if _is_map(o)]
                found.setdefault(name, []).extend(means)

            return hook

        handles = [
            module.register_forward_hook(keep(name)) for name, module in blocks(self.encoder.trunk)
        ]
        try:
            self.encoder(x)
        finally:
            for handle in handles:
                handle.remove()
        return [(name, torch.cat(means, dim=1)) for name, means in found.items() if means]

    def widths(self, device: str) -> dict[str, int]:
        """Return the width of each block, by name.

        Raises:
            ConfigError: if the encoder has fewer than two blocks.
        """
        self.to(device)
        silence = torch.zeros(1, 1, self.encoder.segment_samples, device=device)
        with torch.inference_mode():
            widths = {name: mean.shape[1] for name, mean in self.layers(silence)}
        if len(widths) < 2:
            raise ConfigError(
                f"'{self.name}' has no blocks that --layers can read: its trunk is a "
                f"{type(self.encoder.trunk).__name__}. Leave it out, or give --layers last."
            )
        return widths


@dataclass(frozen=True)
class FrameSubject(Subject):
    """Subject whose representation is the frames before pooling, in one row per segment."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the frames ``[N, F * D]``, frame by frame."""
        return self.encoder.frames(x).transpose(1, 2).flatten(1)

    def frame_width(self, device: str) -> int:
        """Return the width D of a frame.

        Raises:
            ConfigError: if the encoder has no frames before pooling.
        """
        self.to(device)
        silence = torch.zeros(1, 1, self.encoder.segment_samples, device=device)
        try:
            with torch.inference_mode():
                frames = self.encoder.frames(silence)
        except (NotImplementedError, AttributeError, RuntimeError, TypeError, ValueError):
            frames = None
        if frames is None or frames.dim() != 3 or self.encoder.whole_clips:
            raise ConfigError(
                f"'{self.name}' ({self.class_name}) gives no frames before pooling, which this "
                "method needs. Leave it out."
            )
        return frames.shape[1]


def layered(subject: Subject) -> LayeredSubject:
    """Return a subject whose representation is the outputs of the blocks of an encoder.

    Raises:
        ConfigError: for a representation other than the whole embedding.
    """
    return _of_whole(LayeredSubject, subject, "layers")


def framed(subject: Subject) -> FrameSubject:
    """Return a subject whose representation is the frames of an encoder.

    Raises:
        ConfigError: for a representation other than the whole embedding.
    """
    return _of_whole(FrameSubject, subject, "frames")


def _of_whole(cls: Any, subject: Subject, what: str) -> Any:
    if subject.representation != "embedding":
        raise ConfigError(
            f"The {what} of '{subject.name}' belong to the whole encoder; they cannot be limited "
            f"to its representation '{subject.representation}'."
        )
    values = {f.name: getattr(subject, f.name) for f in fields(Subject)}
    return cls(**values | {"representation": what})


def blocks(trunk: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the name and the module of each block of a trunk, in order."""
    children = [(n, m) for n, m in trunk.named_children() if any(True for _ in m.parameters())]
    composed = [(n, m) for n, m in children if any(True for _ in m.children())]
    if len(children) == 1 and not isinstance(children[0][1], nn.Conv1d | nn.Conv2d):
        name, only = children[0]
        if composed:
            yield from blocks(only, f"{prefix}{name}.")
        return
    for name, module in composed or children:
        if isinstance(module, nn.ModuleList) or _is_stack(module):
            inner = nn.ModuleList(module.children())
            for place, part in inner.named_children():
                if _is_stack(part) or isinstance(part, nn.ModuleList):
                    yield from (
                        (f"{prefix}{name}.{place}.{n}", m) for n, m in part.named_children()
                    )
                else:
                    yield f"{prefix}{name}.{place}", part
        else:
            yield f"{prefix}{name}", module


def _is_stack(module: nn.Module) -> bool:
    """Return whether a module is a sequence of modules of one class that have submodules."""
    parts = list(module.children())
    return (
        isinstance(module, nn.Sequential)
        and len({type(part) for part in parts}) == 1
        and all(any(True for _ in part.children()) for part in parts)
    )


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.is_floating_point() and output.dim() >= 3
