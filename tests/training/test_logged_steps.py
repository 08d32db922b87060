"""A criterion is asked for more than its loss at the steps that are logged, and in validation; what
the trainer logs stays the same."""

import pytest
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader

from semisupcon.data.clips import as_is
from semisupcon.training.objective import Objective
from tests.objectives.worlds import example, make_batch


@pytest.mark.parametrize("every", [1, 2, 3])
def test_values_are_asked_for_where_they_are_logged(every):
    encoder, criterion, _ = example("MTSLVR, SimCLR", dtype=torch.float32)
    asked, losses = [], criterion.losses

    def noted(batch, encode):
        found = losses(batch, encode)
        asked.append(("top1" in found, criterion.contrastive.logs))
        return found

    criterion.losses = noted
    batches = DataLoader(
        [make_batch(4, 2, seed=seed) for seed in range(6)], batch_size=None, collate_fn=as_is
    )
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(max_steps=6, log_every_n_steps=every, accelerator="cpu", **quiet)
    objective = Objective(encoder, criterion)
    objective.setup = lambda stage: None
    trainer.fit(objective, batches)
    assert asked == [((step + 1) % every == 0,) * 2 for step in range(6)]
    criterion.log_values(False)
    trainer.validate(objective, batches, verbose=False)
    assert asked[6:] == [(True, True)] * 6
