"""Set initial weights, trainable parts and learning rates of an encoder for fine-tuning."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.chains import build_chain
from semisupcon.encoders.base import Encoder, freeze
from semisupcon.errors import ConfigError
from semisupcon.importer.starting import freeze_parts, read_weights, start_from
from semisupcon.probing.embeddings.encoders import RANDOM, Subject
from semisupcon.probing.embeddings.layers import blocks as blocks_of
from semisupcon.probing.methods.base import FineTuning

OPTION = "--finetune"


def check_start(subject: Subject, options: FineTuning, trust: Sequence[str] = ()) -> None:
    """Check that an encoder can be fine-tuned with these options.

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
    options.check("")
    if not 0 <= options.head_epochs < options.max_epochs:
        raise ConfigError(
            f"{OPTION}.head_epochs must be at least 0 and less than {OPTION}.max_epochs "
            f"{options.max_epochs}, got {options.head_epochs}."
        )
    if options.init_from is None and (options.init_parts or not options.init_strict):
        raise ConfigError(f"{OPTION}.init_parts and {OPTION}.init_strict need {OPTION}.init_from.")
    started(subject, options, trust)
    frozen_parts(copy.deepcopy(subject.encoder), options)
    chain_of(options, subject.encoder)


def started(subject: Subject, options: FineTuning, trust: Sequence[str] = ()) -> Subject:
    """Return a subject whose encoder has the weights of ``options.init_from``.

    Without this option, or if the subject is untrained, it is returned unchanged.
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


def chain_of(options: FineTuning, encoder: Encoder) -> Chain | None:
    """Build the augmentations of the training segments; None without ``options.augment``.

    Raises:
        ConfigError: for an unknown augmentation, or a severity out of range.
    """
    names: list[Any] = list(options.augment or [])
    return build_chain(names, options.severity, encoder.sample_rate) if names else None


def frozen_parts(encoder: Encoder, options: FineTuning) -> list[nn.Module]:
    """Freeze the parts of an encoder that ``options.freeze`` names, and return them."""
    return freeze_parts(nn.ModuleDict({"encoder": encoder}), options.freeze or (), OPTION)


def parameter_groups(
    encoder: Encoder,
    options: FineTuning,
    discriminative: bool = True,
) -> list[dict[str, Any]]:
    """Return parameter groups of the encoder, each with its learning rate.

    A block is a child of the trunk. If the trunk has only one child, as for a timm model, the
    blocks are those of `semisupcon.probing.embeddings.layers.blocks`. Layers before the trunk
    belong to the first block, and layers after the trunk to the last block.

    Args:
        encoder: encoder to train.
        options: settings of fine-tuning.
        discriminative: whether each block has its own learning rate.
    """
    groups: list[dict[str, Any]]
    if not discriminative:
        groups = [{"params": list(encoder.parameters()), "lr": options.lr}]
    else:
        blocks = trunk_parameters(encoder.trunk)
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


def trunk_parameters(trunk: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters of each block of a trunk, in order, each parameter once."""
    children = [list(child.parameters()) for child in trunk.children()]
    children = [child for child in children if child]
    if len(children) > 1:
        return children
    within = {id(p): i for i, (_, block) in enumerate(blocks_of(trunk)) for p in block.parameters()}
    result: list[list[nn.Parameter]] = [[] for _ in range(max(within.values(), default=0) + 1)]
    latest = 0
    for parameter in trunk.parameters():
        # A layer between two blocks belongs to the block before it.
        latest = within.get(id(parameter), latest)
        result[latest].append(parameter)
    return [block for block in result if block]
