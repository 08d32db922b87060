"""Whether a lost process is answered by a save of the last step."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy

from semisupcon.commands.parsing.trainer_options import check_trainer
from semisupcon.errors import ConfigError
from semisupcon.training.ranks import WatchRanks


@pytest.fixture
def saves(monkeypatch):
    """Ends a step of two ranks by a lost connection; returns the steps that were saved."""
    monkeypatch.setattr("semisupcon.training.ranks.lost_connection", lambda error: True)
    state = SimpleNamespace(fn="fit")
    trainer = SimpleNamespace(world_size=2, is_global_zero=True, state=state, validating=False)
    trainer.train_dataloader = None

    def run(*calls):
        saved, module = [], torch.nn.BatchNorm1d(2)
        watch = WatchRanks(SimpleNamespace(save_last_step=saved.append))
        for call in calls:
            getattr(watch, call)(trainer, module)
            module.running_mean += 1
        watch.on_exception(trainer, module, RuntimeError("lost"))
        return len(saved), float(module.running_mean[0])

    return run


START, STEP, END = "on_train_batch_start", "on_before_optimizer_step", "on_train_batch_end"


@pytest.mark.parametrize(
    ("calls", "saved", "mean"),
    [
        ((START,), 1, 0.0),  # statistics of the unfinished batch are undone
        ((START, STEP), 0, 2.0),  # weights may be changed in part
        ((START, STEP, END), 1, 3.0),
        ((START, STEP, END, START), 1, 3.0),
        ((START, STEP, START), 1, 2.0),
    ],
)
def test_a_step_is_saved_if_no_weight_has_changed(saves, calls, saved, mean):
    assert saves(*calls) == (saved, mean)


@pytest.mark.parametrize("given", [True, False])
def test_synchronised_batch_norm_needs_a_gpu(given):
    strategy = DDPStrategy(parallel_devices=[torch.device("cpu")])
    strategy.cluster_environment = SimpleNamespace(local_rank=lambda: 0)
    trainer = SimpleNamespace(num_nodes=1, num_devices=1, strategy=strategy)
    if not given:
        check_trainer(trainer, {"sync_batchnorm": False})
        return
    with pytest.raises(ConfigError, match="sync_batchnorm true works on GPUs only"):
        check_trainer(trainer, {"sync_batchnorm": True})
