"""Import checkpoints of CLMR and SemiSupCon: SampleCNN or TUNe+, projection and probe heads."""

from semisupcon.encoders import Encoder, SampleCNN, SampleCNNXL, TUNePlus
from semisupcon.heads import LinearHead
from semisupcon.importer.reader import Imported, Reader, Rules

SAMPLECNN: Rules = [(r"trunk\.(\d+)\.", lambda i: f"sequential.{i}.")]
TUNEPLUS: Rules = [
    (r"trunk\.down\.(\d)\.", lambda i: f"conv{i + 1}.layers."),
    (r"trunk\.up\.(\d)\.", lambda i: f"transposedConv{i + 6}."),
    (r"trunk\.merge\.(\d)\.", lambda i: f"conv{i + 6}.layers."),
    (r"trunk\.tail\.(\d)\.", lambda i: f"convDown{i + 1}.layers."),
]


def clmr(reader: Reader) -> Imported:
    """Import the encoder, projector and trained classifier of a checkpoint of CLMR.

    Both published file formats are supported. The Lightning modules of CLMR store the encoder as
    ``encoder`` and also inside ``model`` (as ``model`` after supervised training), so files contain
    it twice.
    """
    for other in ("model.encoder.", "model."):
        reader.drop_copies("encoder.", other)
    imported = Imported(_samplecnn(reader, 59049))
    if imported.encoder is not None and (shape := reader.shape("fc.weight")):
        # Only checkpoints of supervised training have this layer.
        imported.heads["classifier"] = head = LinearHead(shape[0], in_dim=shape[1])
        reader.fill(head, [(r"net\.0\.", lambda: "fc.")])
    _take_heads(
        reader,
        imported,
        {
            "projector.": "projection",
            "model.projector.": "projection",
            "model.": "classifier",
            "": "classifier",
        },
    )
    return imported


def semisupcon(reader: Reader) -> Imported:
    """Import the encoder and heads of a pretraining or probing checkpoint of SemiSupCon."""
    imported = Imported(_samplecnn(reader, 59535))
    if imported.encoder is None and reader.find("conv1.layers.0.weight"):
        width, out = (
            reader.shape("conv1.layers.0.weight")[0],
            reader.shape("convDown9.layers.0.weight") or (512,),
        )
        imported.encoder = TUNePlus(width, out[0])
        reader.fill(imported.encoder, TUNEPLUS)
    _take_heads(
        reader,
        imported,
        {"proj_head.": "projection", "semisupcon.proj_head.": "projection", "head.": "classifier"},
    )
    return imported


def _samplecnn(reader: Reader, segment_samples: int) -> Encoder | None:
    if not reader.find("sequential.0.0.weight"):
        return None
    large = reader.shape("sequential.10.0.weight")[:1] == SampleCNNXL.widths[-1:]
    encoder = (SampleCNNXL if large else SampleCNN)(segment_samples=segment_samples)
    reader.fill(encoder, SAMPLECNN)
    return encoder


def _take_heads(reader: Reader, imported: Imported, prefixes: dict[str, str]) -> None:
    for prefix, name in prefixes.items():
        if head := reader.take_mlp(prefix):
            imported.heads[name] = head
