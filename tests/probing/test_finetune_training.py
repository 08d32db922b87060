"""Augmentation, mixup, class weights, schedules and layer-wise rates of fine-tuning."""

import csv

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from semisupcon.commands.probe import main
from semisupcon.encoders import EfficientNetB0
from semisupcon.probing.methods import finetune as module
from semisupcon.probing.methods.finetune import FineTuner
from semisupcon.probing.methods.head import new_head
from semisupcon.probing.methods.mixing import class_weights, mixed, weighted_loss
from semisupcon.probing.methods.settings import FineTuning
from semisupcon.probing.methods.starting import parameter_groups
from tests.probing.conftest import tiny_encoder


def test_mixup_mixes_audio_and_targets_alike():
    audio = torch.arange(8.0)[:, None, None].expand(8, 1, 5)
    targets = torch.eye(8)
    length = torch.arange(1, 9)
    x, n, y = mixed(audio, length, targets, 0.5, key=-3)
    assert torch.allclose(x[:, 0, 0], y @ torch.arange(8.0), atol=1e-5)
    assert torch.allclose(y.sum(dim=1), torch.ones(8))
    assert ((y > 0.01).sum(dim=1) == 2).any()
    assert (n >= length).all()
    again = mixed(audio, length, targets, 0.5, key=-3)[2]
    assert torch.equal(y, again)
    assert not torch.equal(y, mixed(audio, length, targets, 0.5, key=4)[2])
    # Beta(a, a) has the variance 1 / (4 (2a + 1)).
    shares = mixed(torch.zeros(4000, 1, 1), torch.ones(4000), torch.eye(4000), 2.0, 0)[2]
    own = shares.diagonal()
    assert own.var().item() == pytest.approx(1 / 20, rel=0.1)


def test_class_weights_are_those_of_scikit_learn_and_torch():
    draw = np.random.default_rng(0)
    labels = draw.choice(3, 60, p=[0.7, 0.2, 0.1])
    targets = torch.eye(3)[labels]
    weights = class_weights(targets, "multiclass")
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights.numpy() == pytest.approx(expected, rel=1e-6)
    outputs = torch.from_numpy(draw.standard_normal((60, 3)).astype(np.float32))
    assert weighted_loss(outputs, targets, "multiclass", weights).item() == pytest.approx(
        cross_entropy(outputs, torch.from_numpy(labels), weight=weights).item(), abs=1e-6
    )
    tags = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert class_weights(tags, "multilabel").tolist() == pytest.approx([1 / 3, 3, 1])


def test_rates_follow_warm_up_and_cosine_and_keep_their_ratios():
    options = FineTuning(lr=1.0, schedule="cosine", warmup_epochs=1, max_epochs=5)
    head = new_head("linear", 16, 3, "multiclass")
    (optimizer,), (plan,) = FineTuner(
        tiny_encoder(), head, options, steps_per_epoch=4
    ).configure_optimizers()
    rates = []
    for _ in range(20):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        plan["scheduler"].step()
    of_head = [r[-1] for r in rates]
    assert of_head[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert of_head[-1] == pytest.approx((1 + np.cos(np.pi * 15 / 16)) / 2)
    assert all(r[0] / r[-1] == pytest.approx(rates[0][0] / rates[0][-1]) for r in rates)


def test_rates_of_a_timm_model_fall_block_by_block():
    with torch.device("meta"):
        encoder = EfficientNetB0()
    groups = parameter_groups(encoder, FineTuning(lr=1.0, encoder_rate=1.0, decay=0.9))
    rates = [group["lr"] for group in groups]
    assert len(groups) == 18
    assert rates == pytest.approx([0.9 ** (17 - i) for i in range(18)])
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in encoder.parameters())


def tuned(tones, exported, cache, out, *more):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv"]
    where = [f"--out={out}", f"--cache_dir={cache}", "--projection=none", "--resamples=10"]
    short = ["--methods=finetune", "--finetune.max_epochs=2", "--finetune.batch_size=27"]
    assert main([*given, *where, *short, *more]) == 0
    with (out / "results.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    return row["identity"], (out / row["predictions"]).read_text()


def test_every_option_changes_the_result_and_repeats(tones, exported, cache, tmp_path, monkeypatch):
    seen = []
    real = module.mixed
    monkeypatch.setattr(module, "mixed", lambda *a: seen.append(a[3]) or real(*a))
    found = [tuned(tones, exported, cache, tmp_path / "0")]
    options = [
        "--finetune.augment=[gain,polarity_inversion]",
        "--finetune.mixup=0.4",
        "--finetune.class_weights=true",
        "--finetune.schedule=cosine",
    ]
    for i, option in enumerate(options[:2]):
        found.append(tuned(tones, exported, cache, tmp_path / f"{i + 1}", option))
    assert seen
    assert set(seen) == {0.4}
    found.append(tuned(tones, exported, cache, tmp_path / "all", *options))
    assert len({identity for identity, _ in found}) == 4
    assert len({scores for _, scores in found}) == 4
    assert tuned(tones, exported, cache, tmp_path / "again", *options) == found[-1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--finetune.augment=[gian]", "Did you mean"),
        ("--finetune.schedule=plateau", "--finetune.schedule takes constant, cosine"),
        ("--finetune.warmup_epochs=50", "less than --finetune.max_epochs 50"),
        ("--finetune.mixup=-1", "--finetune.mixup"),
    ],
)
def test_mistakes(wrong, said, tones, exported, cache, tmp_path, capsys):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv", wrong]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--methods=finetune"]
    assert main([*given, *where]) == 2
    assert said in capsys.readouterr().err
    assert not list(cache.rglob("*.npy"))


def test_class_weights_need_classes(tones, exported, cache, tmp_path, capsys):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv"]
    kind = ["--task_kwargs.csv.label=frequency", "--task_kwargs.csv.kind=regression"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--methods=finetune"]
    assert main([*given, *kind, *where, "--finetune.class_weights=true"]) == 2
    assert "a regression has none" in capsys.readouterr().err
