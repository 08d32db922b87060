"""Adapter for transforms of torchaudio-augmentations and torch-audiomentations.

These transforms run row by row on the CPU and draw from the global random generators of Python,
NumPy and torch. The adapter seeds the generators with the key of the row and restores them
afterwards, so results depend only on the key. It is slow: if semisupcon has the same transform, use
that one.
"""

import importlib
import inspect
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.augmentations import torchaudio_augmentations
from semisupcon.augmentations.names import snake_case
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError, nearest

PACKAGES = ("torchaudio_augmentations", "torch_audiomentations")


@contextmanager
def seeded(key: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch (CPU) in a ``with`` block.

    Their state is restored at the end.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(key & 0xFFFFFFFFFFFFFFFF)
    np.random.seed(key & 0xFFFFFFFF)  # noqa: NPY002
    torch.default_generator.manual_seed(key)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


class Foreign(Transform):
    """A transform of another package. It reports which rows it changed, but no parameters.

    Args:
        class_path: a class of torchaudio_augmentations or torch_audiomentations. Other packages are
            refused for safety: the name may come from an untrusted file, and its module is
            imported.
        init_args: arguments of the class. Nested transforms are dictionaries of ``class_path`` and
            ``init_args``.
        sample_rate: sample rate in Hz; passed to the class if it has such an argument.
        p: probability that the transform is run on a row. The transform itself may have a further
            probability.

    Raises:
        ConfigError: for an unknown class, unknown arguments, or if the length of a row changes.
    """

    def __init__(
        self,
        class_path: str,
        init_args: dict[str, Any] | None = None,
        sample_rate: int | None = None,
        p: float = 1.0,
    ):
        super().__init__(p)
        self.sample_rate = sample_rate
        self.per_clip = class_path.startswith("torchaudio_augmentations.")
        self.name = snake_case(class_path.rpartition(".")[2])
        self.transform = self._make(class_path, init_args or {})

    def _make(self, class_path: str, init_args: Mapping[str, Any]) -> Any:
        package, _, name = class_path.partition(".")
        if package not in PACKAGES or "." in name:
            raise ConfigError(
                f"Augmentations come from {' or '.join(PACKAGES)} (as package.Class), got "
                f"{class_path!r}."
            )
        module = torchaudio_augmentations.load() if package == PACKAGES[0] else _import(package)
        cls = getattr(module, name, None)
        if not isinstance(cls, type):
            raise ConfigError(f"{package} has no transform {name!r}.{nearest(name, dir(module))}")
        arguments = {k: self._argument(v) for k, v in init_args.items()}
        known = inspect.signature(cls).parameters
        if "sample_rate" in known:
            arguments.setdefault("sample_rate", self.sample_rate)
        if "output_type" in known:
            arguments["output_type"] = "dict"
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{class_path} does not take these arguments: {error}") from error

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Mapping) and "class_path" in value:
            return self._make(value["class_path"], value.get("init_args") or {})
        return [self._argument(v) for v in value] if isinstance(value, list) else value

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        applied = self.chosen(key, among)
        if isinstance(self.transform, nn.Module):
            self.transform.train()  # torch-audiomentations has no effect in eval mode
        for row in applied.nonzero()[:, 0].tolist():
            before = audio[row].cpu()
            with seeded(int(key[row])):
                after = self._call(before.clone())
            if after.shape != before.shape:
                raise ConfigError(
                    f"{self.name} changes the length of a clip ({before.shape[-1]} to "
                    f"{after.shape[-1]} samples)."
                )
            applied[row] = not torch.equal(after, before)
            audio[row] = after
        return audio, applied, torch.empty(len(key), 0, device=audio.device)

    def _call(self, clip: Tensor) -> Tensor:
        if self.per_clip:
            return self.transform(clip)
        return self.transform(clip[None], sample_rate=self.sample_rate).samples[0]


def _import(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"The package {package} cannot be imported ({error}).\nInstall it, or remove its "
            "transforms."
        ) from error
