"""Optimizers and schedules of heads are those of torch, and the command has them."""

import csv

import numpy as np
import pytest
import torch

from semisupcon.commands.probe import main
from semisupcon.probing.methods.gradients import Adam
from semisupcon.probing.methods.head import new_head
from semisupcon.probing.methods.linear import fit
from semisupcon.probing.methods.schedule import Plateau, rate_factor
from semisupcon.probing.methods.settings import Training
from tests.probing.conftest import gaussian_features


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_updates_are_those_of_torch_with_warm_up_and_cosine(optimizer):
    draw = np.random.default_rng(0)
    start = draw.standard_normal((3, 4))
    slopes = draw.standard_normal((40, 3, 4))
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    make = torch.optim.Adam if optimizer == "adam" else torch.optim.AdamW
    theirs = make([parameter], lr=0.05, weight_decay=0.1)
    # 10 steps an epoch, 4 epochs, 1 of them warm-up.
    rise = torch.optim.lr_scheduler.LinearLR(theirs, start_factor=0.1, total_iters=9)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=30)
    schedule = torch.optim.lr_scheduler.SequentialLR(theirs, [rise, fall], milestones=[10])
    ours = [start.copy()]
    adam = Adam(ours, 0.05, 0.1, decoupled=optimizer == "adamw")
    for step, slope in enumerate(slopes):
        parameter.grad = torch.from_numpy(slope)
        theirs.step()
        schedule.step()
        adam.step([slope], rate_factor("cosine", step, 10, 4, 1.0))
        assert np.allclose(ours[0], parameter.detach().numpy(), atol=1e-6)
    assert rate_factor("cosine", 40, 10, 4, 1.0) == pytest.approx(0)
    assert rate_factor("constant", 39, 10, 4) == 1


def test_plateau_is_torchs():
    losses = [3, 2, 2, 2, 2, 2, 2, 2, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.1, patience=5, threshold=0
    )
    ours = Plateau()
    for loss in losses:
        theirs.step(loss)
        ours.add(loss)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.factor < 0.1


def test_a_schedule_changes_the_head_and_raw_embeddings_stay_raw():
    features = gaussian_features()
    x, y = (torch.from_numpy(v) for v in (features.train.chunks.mean(), features.train.targets))
    none = x[:0], y[:0]
    heads = {}
    for name, training in {
        "constant": Training(max_epochs=5),
        "cosine": Training(max_epochs=5, schedule="cosine", warmup_epochs=1),
        "raw": Training(max_epochs=5, standardise=False),
    }.items():
        heads[name] = new_head("linear", 6, 4, "multiclass")
        fit(heads[name], x, y, *none, training, 0)
    weights = {name: head.net.net[0].weight for name, head in heads.items()}
    assert not torch.allclose(weights["constant"], weights["cosine"], atol=1e-3)
    assert heads["raw"].mean.tolist() == [0] * 6
    assert heads["raw"].scale.tolist() == [1] * 6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--training.schedule=cosin", "Did you mean 'cosine'?"),
        ("--training.optimizer=sgd", "adam, adamw"),
        ("--training.warmup_epochs=300", "less than --training.max_epochs 300"),
        ("--hardness=medium", "average, easy, hard"),
        ("--way_to=3", "--way_to must be at least --way 5"),
    ],
)
def test_mistakes(wrong, said, tones, exported, cache, tmp_path, capsys):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv", wrong]
    assert main([*given, f"--out={tmp_path}", f"--cache_dir={cache}"]) == 2
    assert said in capsys.readouterr().err


def test_another_schedule_is_another_result(tones, exported, cache, tmp_path):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--projection=none", "--resamples=20"]
    epochs = "--training.max_epochs=3"
    identities = []
    for more in ([], ["--training.schedule=cosine"], ["--training.optimizer=adamw"]):
        assert main([*given, *where, epochs, *more]) == 0
        with (tmp_path / "results.csv").open(newline="") as file:
            identities.append({row["identity"] for row in csv.DictReader(file)})
    assert len(set.union(*identities)) == 3
