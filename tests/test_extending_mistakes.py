"""Mistakes in classes of the user end with a sentence that names the class and the remedy."""

import sys

import pytest
import torch
from torch import nn

from semisupcon.__main__ import main
from semisupcon.augmentations import Transform
from semisupcon.augmentations.chains import build_chain
from semisupcon.batch import DataFacts
from semisupcon.encoders import Encoder
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.objectives import Criterion, Encode, SemiSupCon
from semisupcon.objectives.base import checked_losses
from semisupcon.public import trusted_object
from semisupcon.targets import Target

FACTS = DataFacts(("a", "b"), "multiclass", train_targets=torch.eye(2).repeat(3, 1).numpy())
KEYS = torch.arange(4) << 20


def target_of(function):
    class Own(Target):
        def forward(self, labels_rows, clips_rows, labels_columns, clips_columns):
            return function(labels_rows, labels_columns)

    return SemiSupCon(target=Own())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda rows, columns: torch.exp(-torch.cdist(rows, columns)),
            "Return 0 for unlabelled clips, whose labels are NaN",
        ),
        (
            lambda rows, columns: (columns == 1).float() @ (rows == 1).float().T,
            r"must return \[M, N\] for M rows and N columns: \[6, 7\]",
        ),
        (
            lambda rows, columns: 2 * (rows == 1).float() @ (columns == 1).float().T,
            r"numbers in \[0, 1\], got torch.float32 from 0.0 to 2.0",
        ),
        (lambda rows, columns: None, "got NoneType"),
    ],
)
def test_a_target_is_checked_at_set_up(function, message):
    with pytest.raises(ConfigError, match=f"the target Own .*{message}"):
        target_of(function).prepare(FACTS)


def test_a_right_target_passes():
    target_of(lambda rows, columns: (rows == 1).float() @ (columns == 1).float().T).prepare(FACTS)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (torch.ones(()), "scalar tensor 'loss', got Tensor"),
        ({"mine": torch.ones(())}, "scalar tensor 'loss', got a dictionary of mine"),
        ({"loss": torch.ones(3)}, "scalar tensor 'loss'"),
        ({"loss": torch.ones(()), "other": 3.0}, "'other' is float"),
        ({"loss": torch.ones(()), "other": torch.ones(2)}, r"'other' is a tensor \[2\]"),
    ],
)
def test_losses_are_checked(losses, message):
    class Own(Criterion):
        def losses(self, batch, encode):
            return losses

    with pytest.raises(ConfigError, match=rf"Own.losses\(batch, encode\) must .*{message}"):
        checked_losses(Own(), None, None)


def test_an_encoder_of_another_width_than_it_declares_is_named():
    class Own(Encoder):
        def __init__(self):
            super().__init__(
                nn.Conv1d(1, 8, 400, stride=160),
                width=8,
                dims=16,
                sample_rate=8000,
                segment_samples=8000,
                min_samples=400,
            )

    with pytest.raises(
        ConfigError,
        match=r"Own declares embeddings \[N, 16\] \(its argument dims\) and returns \[2, 8\]",
    ):
        Encode(Own())(torch.zeros(2, 1, 8000))


def test_a_transform_without_apply_and_one_with_wrong_parameters_are_named():
    class Unfinished(Transform):
        pass

    class Flat(Transform):
        parameter_names = ("rate_hz",)

        def draw(self, key, samples):
            return torch.ones(len(key))

    with pytest.raises(ConfigError, match=r"Unfinished defines no apply\(audio, parameters, key\)"):
        Unfinished()(torch.zeros(4, 1, 100), KEYS)
    with pytest.raises(
        ConfigError,
        match=r"Flat.draw must return \[n, 1\], a column for each of parameter_names, got \[4\]",
    ):
        Flat()(torch.zeros(4, 1, 100), KEYS)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    (tmp_path / "own_part.py").write_text(
        "from semisupcon.augmentations import Transform\nclass Nothing(Transform):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own_part", None)


def test_a_bare_import_path_is_an_augmentation(modules):
    assert [
        type(t).__name__ for t in build_chain(["gain", "own_part.Nothing"], 2, 16000).transforms
    ] == ["Gain", "Nothing"]
    with pytest.raises(
        ConfigError,
        match=r"module 'own_part' has no augmentation 'Nothin'\. Did you mean 'Nothing'",
    ):
        build_chain(["own_part.Nothin"], 2, 16000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "pretrain --config clmr --model.encoder own_absent.Net",
            "--model.encoder: own_absent.Net cannot be imported: No module named",
        ),
        (
            "pretrain --config clmr --trainer.logger own_absent.Lines",
            "--trainer.logger: No module named 'own_absent'.\nSet PYTHONPATH to",
        ),
        (
            "probe --tasks [synthetic_tags] --checkpoints [random] --methods [own_absent.M]",
            "No module named 'own_absent'.\nSet PYTHONPATH",
        ),
        (
            "data check own_absent.f",
            "No module named 'own_absent'.\nSet PYTHONPATH to the folder that holds the module",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_a_module_that_cannot_be_imported(words, message, modules, capsys):
    try:
        status = main(words.split())
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr().err
    assert status == 2
    assert message in printed
    assert "Traceback" not in printed


def test_the_module_to_trust_is_named():
    with pytest.raises(CheckpointError, match=r"with --trust own_absent\.nets; nothing"):
        trusted_object("own_absent.nets.Net", ())
