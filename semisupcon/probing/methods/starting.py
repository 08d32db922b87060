"""Initial weights, trainable parts and learning rates of the encoder in fine-tuning."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from semisupcon.encoders.base import Encoder, freeze
from semisupcon.errors import ConfigError
from semisupcon.importer.starting import freeze_parts, read_weights, start_from
from semisupcon.probing.embeddings.encoders import RANDOM, Subject
from semisupcon.probing.methods.base import FineTuning

OPTION = "--finetune"


def check_start(subject: Subject, options: FineTuning, trust: Sequence[str] = ()) -> None:
    """Check that the encoder of a subject can be fine-tuned with these options.

    Raises:
        ConfigError: for a representation other than the whole embedding, numbers out of range, or
            parts that do not exist.
        CheckpointError: for weights that cannot be read or do not match.
    """
    if subject.representation != "embedding":
        raise ConfigError(
            "finetune trains the whole encoder; it cannot be limited to its representation "
            f"'{subject.representation}'."
        )
    if not 0 <= options.head_epochs < options.max_epochs:
        raise ConfigError(
            f"{OPTION}.head_epochs must be at least 0 and less than {OPTION}.max_epochs "
            f"{options.max_epochs}, got {options.head_epochs}."
        )
    if options.init_from is None and (options.init_parts or not options.init_strict):
        raise ConfigError(f"{OPTION}.init_parts and {OPTION}.init_strict need {OPTION}.init_from.")
    started(subject, options, trust)
    frozen_parts(copy.deepcopy(subject.encoder), options)


def started(subject: Subject, options: FineTuning, trust: Sequence[str] = ()) -> Subject:
    """The subject with the weights of ``options.init_from``; unchanged without this option, or if
    it is untrained.
    """
    if options.init_from is None or subject.source == RANDOM:
        return subject
    encoder = copy.deepcopy(subject.encoder).cpu()
    weights = read_weights(options.init_from, encoder, trust, OPTION)
    module = nn.ModuleDict({"encoder": encoder})
    start_from(
        module,
        weights,
        options.init_parts or ["encoder"],
        options.init_strict,
        options.init_from,
        OPTION,
    )
    return replace(subject, encoder=freeze(encoder))


def frozen_parts(encoder: Encoder, options: FineTuning) -> list[nn.Module]:
    """Freeze the parts of ``options.freeze`` and return them."""
    return freeze_parts(nn.ModuleDict({"encoder": encoder}), options.freeze or (), OPTION)


def parameter_groups(
    encoder: Encoder,
    options: FineTuning,
    discriminative: bool = True,
) -> list[dict[str, Any]]:
    """Parameter groups of the encoder with learning rates.

    Layers after the trunk are in the last block, layers before in the first.
    """
    groups: list[dict[str, Any]]
    if not discriminative:
        groups = [{"params": list(encoder.parameters()), "lr": options.lr}]
    else:
        blocks = [list(block.parameters()) for block in encoder.trunk.children()]
        blocks = [block for block in blocks if block] or [list(encoder.trunk.parameters())]
        inside = {id(p) for block in blocks for p in block}
        before = [p for part in (encoder.normalize, encoder.frontend) for p in part.parameters()]
        outside = {id(p) for p in before} | inside
        blocks[0] = before + blocks[0]
        blocks[-1] = blocks[-1] + [p for p in encoder.parameters() if id(p) not in outside]
        rates = [
            options.lr * options.encoder_rate * options.decay**depth for depth in range(len(blocks))
        ][::-1]
        groups = [{"params": block, "lr": rate} for block, rate in zip(blocks, rates, strict=True)]
    # Leave out frozen parameters.
    groups = [
        group | {"params": [p for p in group["params"] if p.requires_grad]} for group in groups
    ]
    return [group for group in groups if group["params"]]
