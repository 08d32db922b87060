"""Import checkpoints of PANNs: Res1dNet31 and Res1dNet51, with their AudioSet classifier."""

from semisupcon.encoders import Res1dNet31, Res1dNet51
from semisupcon.errors import CheckpointError
from semisupcon.heads import LinearHead
from semisupcon.importer.reader import Imported, Reader, Rules

# Published names of the layers in the body and shortcut of a block.
PARTS = {
    "body.1": "conv1",
    "body.2": "bn1",
    "body.5": "conv2",
    "body.6": "bn2",
    "shortcut.1": "downsample.1",
    "shortcut.2": "downsample.2",
}


def panns(reader: Reader) -> Imported:
    """Import the encoder and the AudioSet classifier of PANNs.

    The classifier outputs logits. The published one applies a sigmoid to them.
    """
    if not reader.find("conv0.weight"):
        return Imported()
    blocks = tuple(reader.count(rf"resnet\.layer{stage}\.(\d+)\.") for stage in range(1, 8))
    net = next((net for net in (Res1dNet31, Res1dNet51) if net.blocks == blocks), None)
    if net is None:
        raise CheckpointError(
            f"{reader.path} holds a net with stages of {blocks} blocks, which is neither "
            "Res1dNet31 nor Res1dNet51.",
        )
    encoder = net(width=reader.shape("conv0.weight")[0])
    imported = Imported(encoder)
    reader.fill(encoder, _rules(blocks))
    if shape := reader.shape("fc_audioset.weight"):
        imported.heads["classifier"] = head = LinearHead(shape[0], in_dim=shape[1])
        reader.fill(head, [(r"net\.0\.", lambda: "fc_audioset.")])
    return imported


def _rules(blocks: tuple[int, ...]) -> Rules:
    places = [
        f"resnet.layer{stage + 1}.{block}"
        for stage, count in enumerate(blocks)
        for block in range(count)
    ]
    return [
        (r"trunk\.0\.", lambda: "conv0."),
        (r"trunk\.1\.", lambda: "bn0."),
        # The first two layers of the trunk are the stem, so block i has the index i + 2.
        (r"trunk\.(\d+)\.(\w+\.\d)\.", lambda i, part: f"{places[i - 2]}.{PARTS[part]}."),
        (r"output\.1\.", lambda: "fc1."),
    ]
