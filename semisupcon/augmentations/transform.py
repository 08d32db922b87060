"""Base class of augmentations, whose parameters are drawn for each example from its key.

A transform maps audio ``[N, C, T]`` and keys ``[N]`` to audio, a mask of the changed rows, and the
parameters of these rows. Channels share the parameters (in a batch, C is 1). The output for a key
does not depend on the other rows. To write a transform, subclass `Transform`, name its parameters,
and define `draw` and `apply`. On the CPU, `modify` processes rows in blocks. For an accelerator,
`decide` draws parameters on the CPU and `perform` computes on the device; see
`semisupcon.augmentations.plans`.
"""

from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.blocks import change_rows, check, in_blocks
from semisupcon.augmentations.names import snake_case
from semisupcon.augmentations.plans import Decision, Plan, accepted, decide, perform
from semisupcon.errors import ConfigError
from semisupcon.random import uniform
from semisupcon.spec import Recorded


class Transform(Recorded):
    """Base class of an augmentation operator, applied to each row with probability ``p``.

    Attributes:
        name: name in ``aug_list``, ``operators``, logs and augmentation prediction. The default is
            the class name in snake case. It is empty for an abstract class. Random draws do not
            depend on the name.
        parameter_names: names of the P values that are reported for each row, with units.
        block_samples: approximate size of a block on the CPU, in samples.
        cost: time of a call relative to a simple operator. `RandomSubset` calls expensive operators
            less often, with more rows at once.

    Args:
        p: probability that a row is changed, drawn for each row.

    Raises:
        ConfigError: if ``p`` is outside [0, 1].
    """

    name: str = ""
    parameter_names: tuple[str, ...] = ()
    block_samples: int = 1 << 19
    cost: float = 1.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def __init__(self, p: float = 1.0):
        super().__init__()
        if not 0 <= p <= 1:
            raise ConfigError(
                f"{type(self).__name__}: the probability p must lie between 0 and 1, got {p}."
            )
        self.p = p

    def draw(self, key: Tensor, samples: int) -> Tensor:
        """Draw the parameters ``[n, P]`` (float32) of n rows of ``samples`` samples."""
        return torch.empty(len(key), 0, device=key.device)

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        """Compute further arguments of `apply` on the CPU.

        Values are tensors, which are copied to the device later, and numbers.

        Args:
            parameters: ``[n, P]``, on the CPU.
            key: ``[n]``, on the CPU.
            samples: length of a row.
        """
        return {}

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor, **prepared: Any) -> Tensor:
        """Transform rows ``[n, C, T]`` with ``parameters [n, P]`` and ``key [n]``.

        The rows may be overwritten.
        """
        raise ConfigError(
            f"The augmentation {type(self).__name__} defines no apply(audio, parameters, key)."
        )

    def forward(self, audio: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Augment audio ``[N, C, T]`` with keys ``[N]``. The input is not modified.

        Returns the audio, ``applied [N]`` bool (False for bit-identical rows), and
        ``parameters [N, P]`` (NaN for unchanged rows).

        Raises:
            ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are
                not int64 ``[N]``.
        """
        check(audio, key)
        if audio.device.type == "cpu":
            return self.modify(audio.clone(), key)
        plan = Plan(decide(self, key.cpu(), audio.shape[-1])).to(audio.device)
        return perform(self, audio.clone(), plan.decisions)

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augment rows of the mask ``among [N]`` in place, with the results of `forward`."""
        applied, parameters = self.drawn(key, audio.shape[-1], among)
        rows = _in_order(applied, parameters)

        def work(block: Tensor) -> None:
            arguments = self._arguments(parameters[block], key[block], audio.shape[-1])
            change_rows(audio, block, lambda x: self.apply(x, **arguments))

        in_blocks(work, rows, audio, self.block_samples)
        return audio, applied, parameters

    def decide(self, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
        """Draw the changed rows and the parameters on the CPU.

        Args:
            key: ``[N]`` on the CPU.
            samples: length of a row.
            among: ``[N]`` bool on the CPU, the rows that may be changed; None means all.
        """
        applied, parameters = self.drawn(key, samples, among)
        rows = _in_order(applied, parameters)
        if not len(rows):
            return Decision(applied, parameters, None)
        arguments = self._arguments(parameters[rows], key[rows], samples)
        return Decision(applied, parameters, {"rows": rows, "arguments": arguments})

    def _arguments(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        prepared = self.prepare(parameters, key, samples)
        return {"parameters": parameters, "key": key, **accepted(self.apply, prepared)}

    def perform(self, audio: Tensor, work: Any) -> Tensor:
        """Apply the draws of `decide` to ``audio [N, C, T]`` in place, on its device.

        Args:
            audio: waveforms ``[N, C, T]``.
            work: attribute ``work`` of the `Decision` from `decide`; None changes nothing.
        """
        if work is None:
            return audio
        return change_rows(audio, work["rows"], lambda x: self.apply(x, **work["arguments"]))

    def drawn(self, key: Tensor, samples: int, among: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draw a mask ``[N]`` (bool) of the changed rows and parameters ``[N, P]``.

        Parameters of unchanged rows are NaN.
        """
        applied = self.chosen(key, among)
        parameters = torch.full((len(key), len(self.parameter_names)), torch.nan, device=key.device)
        drawn = self.draw(key[applied], samples)
        if drawn.shape[1:] != parameters.shape[1:]:
            expected = f"[n, {parameters.shape[1]}], a column for each of parameter_names"
            raise ConfigError(
                f"{type(self).__name__}.draw must return {expected}, got {list(drawn.shape)}."
            )
        parameters[applied] = drawn
        return applied, parameters

    def chosen(self, key: Tensor, among: Tensor | None) -> Tensor:
        """Draw rows of ``among`` with probability ``p``, as a mask ``[N]`` (bool)."""
        applied = uniform(key, "applied")[:, 0] < self.p
        return applied if among is None else applied & among

    def extra_repr(self) -> str:
        return f"{self.name}, p={self.p:g}"


def _in_order(applied: Tensor, parameters: Tensor) -> Tensor:
    """Return the indices ``[n]`` of the changed rows, sorted by their first parameter.

    Then a block has similar rows, which some transforms process together.
    """
    rows = applied.nonzero()[:, 0]
    return rows[parameters[rows, 0].argsort(stable=True)] if parameters.shape[1] else rows
