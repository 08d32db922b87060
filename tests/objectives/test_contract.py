"""What every criterion owes the rest of the house: its spec, its pieces under autocast, and one
sentence for what cannot work."""

import numpy as np
import pytest
import torch
from worlds import FACTS, ZOO, Given, TinyEncoder, TinySpectrogramEncoder, example, make_batch

from semisupcon.batch import DataFacts
from semisupcon.encoders import AttentionPool, ResNet1d
from semisupcon.encoders.multiformat import MultiFormat
from semisupcon.errors import ConfigError
from semisupcon.frontends import DatasetStatistics, fit_statistics
from semisupcon.heads import LinearHead, MLPHead, Predictor, ProjectionHead
from semisupcon.objectives.augmentation_prediction import AugmentationPrediction
from semisupcon.objectives.base import Encode
from semisupcon.objectives.byol import BYOL
from semisupcon.objectives.cola import COLA, Bilinear, Cosine
from semisupcon.objectives.cpc import CPC, EmbeddingCPC
from semisupcon.objectives.mfcl import MFCL
from semisupcon.objectives.moco import MoCo
from semisupcon.objectives.mtslvr import MTSLVR
from semisupcon.objectives.semisupcon import SemiSupCon
from semisupcon.objectives.simclr import SimCLR
from semisupcon.objectives.simsiam import SimSiam
from semisupcon.objectives.supervised import Supervised
from semisupcon.spec import build, spec_of
from semisupcon.training.objective import Objective


@pytest.mark.parametrize("name", ZOO)
def test_is_rebuilt_from_its_spec(name, monkeypatch):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    again = build(spec_of(criterion), trust=["worlds"])
    again.connect(encoder)
    again.prepare(FACTS[ZOO[name][2]])
    again.load_state_dict(criterion.state_dict())
    for module in (criterion, again, encoder):
        module.eval()
    ours, theirs = (c.losses(batch, Encode(encoder))["loss"] for c in (criterion, again))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ZOO)
def test_logs_scalars_and_trains_everything_it_has(name):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    losses = criterion.losses(batch, Encode(encoder))
    assert all(value.shape == () for value in losses.values())
    assert all(
        not value.requires_grad
        for key, value in losses.items()
        if key != "loss" and not key.startswith("accuracy")
    )
    losses["loss"].backward()
    for key, parameter in (*encoder.named_parameters(), *criterion.named_parameters()):
        assert (parameter.grad is not None) == parameter.requires_grad, key
    assert all(
        isinstance(module, torch.nn.Module) for module in criterion.representations().values()
    )


@pytest.mark.parametrize("name", ZOO)
def test_bfloat16_autocast_stays_near(name):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    criterion.eval()
    encoder.eval()
    exact = criterion.losses(batch, Encode(encoder))["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = criterion.losses(batch, Encode(encoder))["loss"]
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.15, abs=0.05)


@pytest.mark.parametrize(
    ("make", "encoder", "says"),
    [
        (
            lambda: MFCL(),
            TinyEncoder(),
            "needs an encoder with the formats waveform and spectrogram",
        ),
        (
            lambda: MFCL(waveform_projector=Given(6), spectrogram_projector=ProjectionHead([4])),
            None,
            "widths must be equal",
        ),
        (lambda: CPC(20), TinyEncoder(), "gives 16 of 32 samples"),
        (lambda: CPC(2), TinyEncoder(stride=32), "use an encoder with more frames"),
        (
            lambda: CPC(2),
            ResNet1d(width=4, pool=AttentionPool(4)),
            "use a pooling without parameters",
        ),
        (lambda: EmbeddingCPC(), TinyEncoder(), "the embedding is 6 wide"),
        (
            lambda: COLA(Given(6), Bilinear(4)),
            TinyEncoder(),
            "takes projections of width 4, but the projector gives 6",
        ),
        (lambda: COLA(Given(6), spec_augment=Given(6)), TinyEncoder(), "reads waveforms"),
        (
            lambda: SimCLR(ProjectionHead([4], in_dim=5)),
            TinyEncoder(),
            "inputs of width 5, but the embedding is 6",
        ),
        (lambda: SimSiam(predictor=Given(3)), TinyEncoder(), "3"),
        (lambda: SimCLR(LinearHead()), TinyEncoder(), "LinearHead needs out_dim: "),
        (lambda: SemiSupCon(LinearHead()), TinyEncoder(), "LinearHead needs out_dim: "),
        (lambda: SimSiam(MLPHead()), TinyEncoder(), "MLPHead needs out_dim: "),
        (
            lambda: MFCL(waveform_projector=LinearHead(), spectrogram_projector=LinearHead()),
            None,
            "LinearHead needs out_dim: ",
        ),
        (lambda: BYOL(ProjectionHead([4], in_dim=5)), TinyEncoder(), "5"),
        (lambda: MoCo(ProjectionHead([4], in_dim=5)), TinyEncoder(), "5"),
        (lambda: Supervised(ProjectionHead([3], in_dim=5)), TinyEncoder(), "5"),
    ],
)
def test_wrong_combinations_fail_at_construction_in_one_sentence(make, encoder, says):
    with pytest.raises(ConfigError, match=says) as caught:
        make().connect(encoder or MultiFormat(TinyEncoder(), TinySpectrogramEncoder()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SimCLR(temperature=0),
        lambda: SimCLR(views=1),
        lambda: MFCL(temperature=-1),
        lambda: MoCo(queue_size=0),
        lambda: MoCo(momentum=1),
        lambda: BYOL(momentum=1.2),
        lambda: BYOL(momentum_steps=0),
        lambda: CPC(0),
        lambda: CPC(hidden=0),
        lambda: MTSLVR(predictive_weight=-1),
        lambda: EmbeddingCPC(negatives=0),
        lambda: COLA(noise=-1),
        lambda: Cosine(0),
        lambda: AugmentationPrediction(views=0),
        lambda: Supervised(views=0),
    ],
)
def test_wrong_numbers_fail_at_construction(make):
    with pytest.raises(ConfigError):
        make()


def test_what_the_data_lacks_is_said_at_set_up():
    with pytest.raises(ConfigError, match=r"name a data set with data\.sl_task"):
        Supervised().prepare(DataFacts())
    with pytest.raises(ConfigError, match=r"name some in data\.aug_list"):
        AugmentationPrediction().prepare(DataFacts())
    regression = AugmentationPrediction(regressor=LinearHead())
    regression.connect(TinyEncoder())
    with pytest.raises(
        ConfigError,
        match=r"no operator has one \(polarity_inversion\); remove the regressor, or add .* to data\.aug_list",
    ):
        regression.prepare(DataFacts(operators=("polarity_inversion",), parameter_names=((),)))
    nothing = DataFacts(("a", "b"), "multiclass", train_targets=np.zeros((0, 2), np.float32))
    with pytest.raises(ConfigError, match="no training clip keeps one"):
        Supervised().prepare(nothing)
    with pytest.raises(ConfigError, match="circular"):
        CPC().prepare(DataFacts(padding=True))


@pytest.mark.parametrize("make", [SimSiam, BYOL, MoCo, COLA, MFCL, lambda: MTSLVR(SimSiam())])
def test_what_compares_two_views_says_that_it_takes_no_more(make):
    assert make().most_views == make().views == 2
    assert SimCLR(views=3).most_views is None


@pytest.mark.parametrize("name", ["MTSLVR, SimCLR", "MFCL, masked", "SimCLR", "MTSLVR, SimSiam"])
def test_heads_read_the_task_that_they_were_trained_on(name):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    objective = Objective(encoder, criterion)
    x = batch["audio"][:, 0]
    for head, module in criterion.representations().items():
        expected = module(encoder(x, task=criterion.reads(head)))
        assert torch.equal(objective.representation(head)(x), expected)
    assert torch.equal(objective.representation("both")(x), encoder(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MoCo(ProjectionHead([4]), queue_size=4),
        lambda: BYOL(ProjectionHead([4]), Predictor(4)),
        CPC,
    ],
)
def test_statistics_of_the_data_may_be_learnt_after_construction(make):
    encoder = ResNet1d(width=4, segment_samples=2000, normalize=DatasetStatistics())
    objective = Objective(encoder, make())
    fit_statistics(objective, [torch.tensor([1.0, 3.0])])
    means = [m.mean.item() for m in objective.modules() if isinstance(m, DatasetStatistics)]
    assert means == [2.0] * len(means)
    assert len(means) == 1 + (not isinstance(objective.criterion, CPC))
    batch = make_batch(3, objective.criterion.views, samples=2000)
    assert objective.criterion.losses(batch, objective.encode)["loss"].isfinite()


def test_the_queue_of_moco_takes_every_batch_that_a_step_has_summed():
    encoder, criterion = TinyEncoder(), MoCo(ProjectionHead([4]), queue_size=8)
    criterion.connect(encoder)
    for seed in range(2):
        criterion.losses(
            make_batch(3, 2, seed=seed) | {"clip": torch.arange(3) + 10 * seed}, Encode(encoder)
        )
    criterion.after_step(encoder)
    assert criterion.clips.tolist() == [0, 1, 2, 10, 11, 12, -1, -1]
    assert criterion.oldest == 6


def test_segments_too_short_for_cpc_are_said_at_the_first_batch():
    encoder, criterion, _ = example("CPC", dtype=torch.float32)
    with pytest.raises(ConfigError, match="these segments give 2"):
        criterion.losses(make_batch(2, 1, samples=4), Encode(encoder))
