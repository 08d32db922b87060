"""Models met through the importer give what the original implementations gave, to 1e-4."""

import pytest
import torch
from golden_models import MODELS, OUTPUTS, example, relative_error, weights

from semisupcon.importer import import_checkpoint

SYSTEM = {"samplecnn_59049": "semisupcon", "tuneplus": "semisupcon", "panns_res1dnet31": "panns"}
# Trunk without dead layers (semisupcon.md 2.1 and 2.3), encoder and head together elsewhere.
USED = {"samplecnn_59049": 2_368_512, "tuneplus": 2_220_390}


@pytest.fixture
def imported(request, tmp_path):
    name = request.param
    state = weights(name)
    path = tmp_path / "published.pt"
    torch.save({"iteration": 600000, "model": state} if name.startswith("panns") else state, path)
    return name, import_checkpoint(SYSTEM.get(name, "mtslvr"), path)


@pytest.mark.parametrize("imported", MODELS, indirect=True)
def test_equals_the_original(imported):
    name, found = imported
    assert sum(p.numel() for m in found.modules() for p in m.parameters()) == USED.get(
        name, MODELS[name]["parameters"]
    )
    x, golden = example(name), OUTPUTS[name]
    with torch.inference_mode():
        if found.encoder is None:
            (head,) = found.heads.values()
            ours = {"y": head(x)}
        elif found.encoder.tasks:
            # Both tasks at once, the contrastive one first.
            features = found.encoder.features(x) if x.dim() == 3 else x
            ours = dict(
                zip(
                    ("task0", "task1"),
                    found.encoder.from_features(features).split(500, dim=1),
                    strict=True,
                )
            )
        elif name.startswith("panns"):
            embedding = found.encoder(x[:, None])
            ours = {
                "embedding": embedding,
                "clipwise_output": found.heads["classifier"](embedding).sigmoid(),
            }
        else:
            ours = {"y": found.encoder(x) if x.dim() == 3 else found.encoder.from_features(x)}
    assert ours.keys() == golden.keys()
    assert max(relative_error(ours[key], golden[key]) for key in golden) < 1e-4
