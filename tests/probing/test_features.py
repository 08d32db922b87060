"""Clips are embedded once, by a frozen encoder, and found again only by the same encoder and the
same content."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.encoders import (
    DilatedCNN,
    Encoder,
    MultiFormat,
    ResNet1d,
    ResNet2d,
    SampleCNNSmall,
    SplitResNet1d,
    freeze,
)
from semisupcon.errors import UserError
from semisupcon.frontends import DatasetStatistics, mfcl_log_mel
from semisupcon.probing.embeddings.cache import Chunks, ContentHashes, EmbeddingCache
from semisupcon.probing.embeddings.embedder import Embedder
from semisupcon.probing.embeddings.encoders import Subject, calibrated, load_subject, random_twin
from semisupcon.probing.embeddings.tasks import fraction_of_training, load_task, shuffled_labels
from tests.probing.conftest import RATE, tiny_encoder


@pytest.fixture
def subject():
    return Subject("tiny", freeze(tiny_encoder()), "pretrained")


def counting(subject, seen):
    """The same subject, whose every forward pass is counted in segments."""
    encoder = subject.encoder
    encoder.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    return subject


def test_each_clip_is_embedded_once_for_all_tasks_and_runs(subject, tones, cache):
    seen = []
    counting(subject, seen)
    task = load_task("csv", tones)
    _, first = Embedder(cache).embed(subject, task)
    assert sum(seen) == len(first.values)
    _, again = Embedder(cache).embed(subject, task)
    _, other = Embedder(cache).embed(
        subject, load_task("loud=csv", tones, {"label": "loud", "kind": "binary"})
    )
    assert sum(seen) == len(first.values)
    assert np.array_equal(first.values, again.values)
    assert np.array_equal(first.values, other.values)


def test_embeddings_of_an_earlier_version_of_a_front_end_are_made_again(
    subject, tones, cache, monkeypatch
):
    task = load_task("csv", tones)
    Embedder(cache).embed(subject, task)
    fingerprint, seen = subject.fingerprint(), []
    counting(subject, seen)
    monkeypatch.setattr(subject.encoder.frontend, "revision", 2, raising=False)
    Embedder(cache).embed(subject, task)
    assert seen
    assert subject.fingerprint() == fingerprint  # heads and indexes still belong to the encoder


def test_embeddings_are_those_of_the_encoder(subject, tones, cache):
    task = load_task("csv", tones)
    _, chunks = Embedder(cache, batch_size=7).embed(subject, task)
    for i in (0, 17, 89):
        direct = subject.encoder.embed([task.files[i]])
        assert np.allclose(chunks.select([i]).mean(), direct, atol=1e-5)


def test_another_weight_buffer_or_representation_is_another_encoder(subject):
    prints = [subject.fingerprint()]
    with torch.no_grad():
        next(subject.encoder.parameters()).view(-1)[0] += 1e-3
    prints.append(subject.fingerprint())
    next(b for n, b in subject.encoder.named_buffers() if "running_mean" in n)[0] += 1e-3
    prints += [subject.fingerprint(), replace(subject, representation="projection").fingerprint()]
    assert len(set(prints)) == 4


def test_an_edited_file_is_another_clip(subject, tones, cache, tmp_path):
    root = tmp_path / "tones"
    shutil.copytree(tones, root)
    task = load_task("csv", root)
    _, before = Embedder(cache).embed(subject, task)
    seen = []
    counting(subject, seen)
    soundfile.write(task.files[3], 0.3 * np.random.default_rng(0).standard_normal(1500), RATE)
    _, after = Embedder(cache).embed(subject, task)
    assert sum(seen) == 1
    assert not np.allclose(before.select([3]).mean(), after.select([3]).mean())
    others = [i for i in range(90) if i != 3]
    assert np.array_equal(before.select(others).values, after.select(others).values)


def test_runs_at_once_do_not_disturb_each_other(cache):
    one, two = (EmbeddingCache(cache, "f" * 64) for _ in range(2))
    one.add(["a", "b"], [np.ones((2, 3)), np.zeros((1, 3))])
    two.add(["b", "c"], [np.zeros((1, 3)), np.full((1, 3), 5.0)])
    (cache / ("f" * 32) / f".{'a' * 32}.npy.99.partial").write_bytes(b"half")
    late = EmbeddingCache(cache, "f" * 64)
    assert late.missing(["a", "b", "c", "d", "d"]) == ["d"]
    found = late.get(["c", "a"])
    assert (found.values[:, 0].tolist(), found.offsets.tolist()) == ([5, 1, 1], [0, 1, 3])


def test_content_hashes_notice_a_change(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"one")
    hashes = ContentHashes(tmp_path)
    first = hashes(file)
    hashes.save()
    assert ContentHashes(tmp_path)(file) == first
    file.write_bytes(b"other")
    assert ContentHashes(tmp_path)(file) != first


def test_a_broken_file_is_named_or_counted(subject, tones, cache, tmp_path, caplog):
    root = tmp_path / "tones"
    shutil.copytree(tones, root)
    (root / "05.wav").write_text("no audio")
    task = load_task("csv", root)
    with pytest.raises(UserError, match=r"05\.wav[\s\S]*--on_error skip"):
        Embedder(cache).embed(subject, task)
    for i in (7, 11, 60):
        (root / f"{i:02d}.wav").write_text(f"no audio {i}")
    with pytest.raises(
        UserError,
        match=r"4 of 90 files of task 'csv' cannot be read: 05\.wav \(.*; 07\.wav \(.*; 11\.wav \(.*, \.\.\.",
    ):
        Embedder(cache).embed(subject, task)
    for i in (7, 11, 60):
        shutil.copy(tones / f"{i:02d}.wav", root)
    features = Embedder(cache, on_error="skip").features(subject, task)
    assert len(features.train) + len(features.val) + len(features.test) == 89
    assert "1 of 90 clips could not be read" in caplog.text


def test_nan_in_an_embedding_names_the_clip(subject, tones, cache):
    with torch.no_grad():
        next(subject.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"00\.wav holds NaN"):
        Embedder(cache).embed(subject, load_task("csv", tones))


class WithDropout(Encoder):
    def __init__(self):
        trunk = torch.nn.Sequential(
            torch.nn.Conv1d(1, 8, 40, 20),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
        )
        super().__init__(
            trunk, width=8, dims=8, sample_rate=RATE, segment_samples=2000, min_samples=40
        )


ENCODERS = {
    "SampleCNNSmall": lambda: SampleCNNSmall(
        [8, 16], stem=20, sample_rate=RATE, segment_samples=2000
    ),
    "ResNet1d": lambda: ResNet1d(width=4, sample_rate=RATE, segment_samples=2000),
    "ResNet2d": lambda: ResNet2d(
        width=4, normalize=DatasetStatistics(0.1, 0.5), segment_samples=4000
    ),
    "SplitResNet1d": lambda: SplitResNet1d(
        width=4, out_dim=8, sample_rate=RATE, segment_samples=2000
    ),
    "with dropout": lambda: WithDropout(),
    "MultiFormat": lambda: MultiFormat(
        DilatedCNN(8, 2), ResNet2d(width=4, frontend=mfcl_log_mel())
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_frozen_encoders_are_bit_identical_afterwards(name, tones, cache):
    torch.manual_seed(0)
    subject = Subject(name, freeze(ENCODERS[name]()), "pretrained")
    task = load_task("csv", tones)
    task = task.select(range(6))
    before = {k: v.clone() for k, v in subject.encoder.state_dict().items()}
    subject.encoder.train()
    _, once = Embedder(cache).embed(subject, task)
    _, again = Embedder(cache / "anew").embed(subject, task)
    assert np.array_equal(once.values, again.values)
    assert all(torch.equal(before[k], v) for k, v in subject.encoder.state_dict().items())


def test_the_random_twin_has_the_shape_and_input_statistics_but_not_the_weights():
    subject = Subject("x", freeze(ENCODERS["ResNet2d"]()), "pretrained")
    subject.encoder.normalize.load_state_dict(
        {k: v + 1 for k, v in subject.encoder.normalize.state_dict().items()}
    )
    twin, same, other = (random_twin(subject, seed) for seed in (0, 0, 1))
    assert twin.source == "random"
    assert twin.fingerprint() == same.fingerprint() != other.fingerprint()
    trained, fresh = subject.encoder.state_dict(), twin.encoder.state_dict()
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in fresh.items()}
    assert all(
        torch.equal(v, twin.encoder.normalize.state_dict()[k])
        for k, v in subject.encoder.normalize.state_dict().items()
    )
    assert not torch.equal(
        next(subject.encoder.trunk.parameters()), next(twin.encoder.trunk.parameters())
    )


def test_calibration_takes_batch_norm_statistics_and_nothing_else():
    subject = Subject("x", freeze(tiny_encoder()), "random", seed=0)
    x = torch.randn(64, 1, 2000) * 3
    after = calibrated(subject, [x[:32], x[32:]])
    norm = next(m for m in after.encoder.modules() if isinstance(m, torch.nn.BatchNorm1d))
    inputs = []
    norm.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    with torch.no_grad():
        after.encoder(x)
    assert torch.allclose(norm.running_mean, inputs[0].mean(dim=(0, 2)), atol=1e-4)
    assert (
        dict(subject.encoder.named_parameters()).keys()
        == dict(after.encoder.named_parameters()).keys()
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(subject.encoder.parameters(), after.encoder.parameters(), strict=True)
    )
    assert not any(m.training for m in after.encoder.modules())


def test_shares_of_training_clips_are_nested_and_keep_every_class(tones):
    task = load_task("csv", tones)
    tenth, half = (fraction_of_training(task, share, seed=0) for share in (0.1, 0.5))
    names = [
        {p for p, s in zip(t.paths, t.split, strict=True) if s == "train"}
        for t in (tenth, half, task)
    ]
    assert names[0] < names[1] < names[2]
    assert len(names[1]) == 27
    assert (tenth.targets[tenth.rows("train")].sum(axis=0) > 0).all()
    assert len(tenth.rows("test")) == len(task.rows("test"))


def test_shuffling_keeps_the_balance_and_the_test_labels(tones):
    task = load_task("csv", tones)
    shuffled = shuffled_labels(task, seed=0)
    for split in ("train", "val", "test"):
        assert (
            shuffled.targets[task.rows(split)].sum(axis=0)
            == task.targets[task.rows(split)].sum(axis=0)
        ).all()
    assert (shuffled.targets[task.rows("test")] == task.targets[task.rows("test")]).all()
    assert (shuffled.targets[task.rows("train")] != task.targets[task.rows("train")]).any()


def test_a_data_set_without_validation_gets_one_from_its_training_clips(tones, tmp_path):
    lines = (tones / "labels.csv").read_text().replace(",val,", ",train,")
    (tmp_path / "labels.csv").write_text(lines)
    task = load_task("csv", tones, {"file": str(tmp_path / "labels.csv")})
    assert len(task.rows("val")) in (6, 7, 8)
    assert (task.targets[task.rows("val")].sum(axis=0) >= 2).all()
    assert len(task.rows("test")) == 18


def test_chunks_average_and_select_by_clip():
    chunks = Chunks(np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 4, 6]))
    assert chunks.mean().tolist() == [[0, 1], [4, 5], [9, 10]]
    assert chunks.select([2, 0]).mean().tolist() == [[9, 10], [0, 1]]
    assert chunks.clip_of_row().tolist() == [0, 1, 1, 1, 2, 2]
    assert chunks.select([]).mean().shape == (0, 2)


def test_representations_are_the_heads_of_the_criterion_and_the_tasks_of_the_encoder(tmp_path):
    from semisupcon.checkpoints import plain_facts, save_atomically
    from semisupcon.data import DataFacts
    from semisupcon.objectives import SimCLR
    from semisupcon.spec import spec_of

    encoder, criterion = tiny_encoder(), SimCLR()
    criterion.connect(encoder)
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()} | {
        f"criterion.{k}": v for k, v in criterion.state_dict().items()
    }
    about = {
        "version": 1,
        "encoder": spec_of(encoder),
        "criterion": spec_of(criterion),
        "facts": plain_facts(DataFacts()),
    }
    save_atomically({"state_dict": state, "semisupcon": about}, tmp_path / "last.ckpt")
    embedding, projection = (load_subject(str(tmp_path), r) for r in ("embedding", "projection"))
    x = torch.randn(2, 1, 2000)
    with torch.no_grad():
        expected = criterion.eval().representations()["projection"](encoder.eval()(x))
        assert torch.allclose(projection(x), expected, atol=1e-6)
        assert torch.allclose(embedding(x), encoder(x), atol=1e-6)
    with pytest.raises(UserError, match="it has: embedding, projection"):
        load_subject(str(tmp_path), "predictive")

    split = Subject(
        "s", freeze(ENCODERS["SplitResNet1d"]()), "pretrained", representation="contrastive"
    )
    assert split(x).shape[1] == split.encoder.task_dims["contrastive"]
