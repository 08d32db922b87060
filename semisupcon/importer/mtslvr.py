"""Import checkpoints of MT-SLVR: plain, split and adapter ResNets, and heads."""

from typing import Any

from semisupcon.encoders import (
    AdapterResNet1d,
    AdapterResNet2d,
    Encoder,
    ResNet1d,
    ResNet2d,
    SplitResNet1d,
    SplitResNet2d,
)
from semisupcon.encoders.adapters import Kind
from semisupcon.encoders.multitask import TASKS
from semisupcon.encoders.resnet import BLOCKS
from semisupcon.errors import CheckpointError
from semisupcon.frontends import DatasetStatistics, ThreeChannelMel, mtslvr_log_mel
from semisupcon.heads import AugmentationPredictor, Head, Predictor, SimCLRHead, SimSiamProjector
from semisupcon.importer.reader import Imported, Reader, Rules

# Mean and standard deviation of the training waveforms by data set. The names of published files
# begin with the name of the data set.
STATISTICS = {"AS_BAL": (-0.00029522, 0.11652075), "FSD50K": (-4.8055e-05, 0.068482772)}

STEM: Rules = [(r"trunk\.stem\.0\.", lambda: "conv1."), (r"trunk\.stem\.1\.", lambda: "bn1.")]
OUTPUTS: Rules = [
    (r"output\.(contrastive|predictive)\.", lambda task: f"fc_layers.{TASKS.index(task)}."),
]
RESNET: Rules = [
    *STEM,
    (
        r"trunk\.stage(\d)\.(\d+)\.convs\.(\d)\.",
        lambda stage, block, i: f"layer{stage}.{block}.conv{i + 1}.",
    ),
    (
        r"trunk\.stage(\d)\.(\d+)\.norms\.(\d)\.",
        lambda stage, block, i: f"layer{stage}.{block}.bn{i + 1}.",
    ),
    (
        r"trunk\.stage(\d)\.(\d+)\.shortcut\.",
        lambda stage, block: f"layer{stage}.{block}.downsample.",
    ),
    *OUTPUTS,
    (r"output\.", lambda: "fc."),
]


def adapter_rules(kind: Kind) -> Rules:
    """Return the rules for the names of tensors in an adapter ResNet.

    A convolution has two norms for the kind ``series``, of which the one after the adapter is the
    second. It has one norm for the other kinds.
    """

    def conv(stage: int, block: int, which: str) -> str:
        return f"layer{stage + 1}.{block}.{'conv1' if which == 'first' else 'conv2'}."

    at, outer = r"trunk\.stages\.(\d)\.(\d+)\.(first|second)\.", "1." if kind == "series" else ""
    return [
        *STEM,
        (at + r"conv\.", lambda s, b, c: f"{conv(s, b, c)}conv."),
        (at + r"norms\.(\d)\.", lambda s, b, c, task: f"{conv(s, b, c)}bns.{task}.{outer}"),
        (
            at + r"parallel\.(\d)\.",
            lambda s, b, c, task: f"{conv(s, b, c)}parallel_conv.{task}.conv.",
        ),
        (
            at + r"series\.(\d)\.norm\.",
            lambda s, b, c, task: f"{conv(s, b, c)}bns.{task}.0.conv.0.",
        ),
        (
            at + r"series\.(\d)\.conv\.",
            lambda s, b, c, task: f"{conv(s, b, c)}bns.{task}.0.conv.1.",
        ),
        (r"trunk\.ends\.(\d)\.", lambda task: f"end_bns.{task}.0."),
        *OUTPUTS,
        (r"output\.", lambda: "fc_layers.0."),
    ]


def mtslvr(reader: Reader) -> Imported:
    """Import an encoder or a single head of MT-SLVR.

    The front end of a spectrogram encoder depends on its number of input channels. If the file name
    begins with the name of a known data set, waveforms are normalised with the statistics of that
    data set. Otherwise they are not normalised.
    """
    if not (reader.find("layer1.0.conv1.weight") or reader.find("layer1.0.conv1.conv.weight")):
        return Imported(heads=_head(reader))
    stem, series, parallel = (
        reader.shape(name)
        for name in (
            "conv1.weight",
            "layer1.0.conv1.bns.0.1.weight",
            "layer1.0.conv1.parallel_conv.0.conv.weight",
        )
    )
    plain = reader.shape("layer1.0.conv1.bns.0.weight")
    kind: Kind | None = "series" if series else "parallel" if parallel else "bn" if plain else None
    if len(stem) not in (3, 4):
        raise CheckpointError(
            f"{reader.path} holds a ResNet without its first convolution (conv1.weight).",
        )
    statistics = next(
        (s for name, s in STATISTICS.items() if reader.path.name.startswith(name)),
        None,
    )
    splits = reader.count(r"fc_layers\.(\d)\.")
    width = (reader.shape("fc_layers.0.weight" if splits else "fc.weight") or (1000,))[0]
    encoder = _backbone(
        kind,
        splits,
        two=len(stem) == 4,
        depth=_depth(reader),
        out_dim=width * max(splits, 1),
        width=stem[0],
        frontend=None
        if len(stem) == 3
        else mtslvr_log_mel()
        if stem[1] == 1
        else ThreeChannelMel(),
        normalize=DatasetStatistics(*statistics) if statistics else None,
    )
    # The file does not have the statistics of the normalisation, so load only trunk and output.
    reader.fill(encoder, adapter_rules(kind) if kind else RESNET, parts=("trunk.", "output."))
    return Imported(encoder)


def _backbone(kind: Kind | None, splits: int, two: bool, **arguments: Any) -> Encoder:
    if kind:
        return (AdapterResNet2d if two else AdapterResNet1d)(
            kind,
            num_splits=max(splits, 1),
            **arguments,
        )
    if splits:
        return (SplitResNet2d if two else SplitResNet1d)(**arguments)
    return (ResNet2d if two else ResNet1d)(**arguments)


def _depth(reader: Reader) -> int:
    blocks = tuple(reader.count(rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    bottleneck = bool(reader.shape("layer1.0.conv3.weight"))
    for depth, counts in BLOCKS.items():
        if counts == blocks and bottleneck == (depth >= 50):
            return depth
    raise CheckpointError(
        f"{reader.path} holds a ResNet with stages of {blocks} blocks, which MT-SLVR does not "
        "have.",
    )


def _head(reader: Reader) -> dict[str, Head]:
    first = reader.shape("layer1.0.weight")
    if len(first) != 2:
        return {}
    head: Head
    layers: tuple[str, ...]
    if shape := reader.shape("layer4.0.weight"):
        widths = [(reader.shape(f"layer{i}.0.weight") or (0,))[0] for i in (1, 2, 3)]
        name, head, layers = (
            "augmentation",
            AugmentationPredictor(widths, shape[0], first[1]),
            ("1.0", "1.1", "2.0", "2.1", "3.0", "3.1", "4.0"),
        )
    elif reader.shape("layer3.0.weight"):
        name, head, layers = (
            "projection",
            SimSiamProjector(first[0], in_dim=first[1]),
            ("1.0", "1.1", "2.0", "2.1", "3.0", "3.1"),
        )
    elif reader.shape("layer1.1.weight"):
        name, head, layers = "prediction", Predictor(first[0], in_dim=first[1]), ("1.0", "1.1", "2")
    else:
        name, head, layers = (
            "projection",
            SimCLRHead((reader.shape("layer2.weight") or (256,))[0], in_dim=first[1]),
            ("1.0", "2"),
        )
    assert head.net is not None  # the head knows both widths, so it has layers
    with_weights = [
        i for i, layer in enumerate(head.net) if next(layer.parameters(), None) is not None
    ]
    reader.fill(
        head,
        [
            (rf"net\.{i}\.", lambda theirs=theirs: f"layer{theirs}.")
            for i, theirs in zip(with_weights, layers, strict=True)
        ],
    )
    return {name: head}
