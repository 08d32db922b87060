"""The adapters in the packages of the benchmarks themselves, on tiny tasks that are built here.

`make test-slow` installs the packages without their dependencies. Two stubs replace what they need
and this environment lacks: ``tensorflow.Module``, which hearvalidator only compares with, and
``torchaudio.load``, which has needed torchcodec since torchaudio 2.9.
"""

import io
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.adapters import mteb as ours
from semisupcon.adapters import xares as adapter
from tests.adapters.conftest import DIM, RATE

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
from outside_sets import write_shard

pytestmark = pytest.mark.slow


def tone(number: int, seconds: float = 0.6) -> np.ndarray:
    """A low tone for even numbers, a high one for odd numbers, in noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(number).normal(size=len(time))
    wave = 0.4 * np.sin(2 * np.pi * (300 + 3000 * (number % 2)) * time) + 0.01 * noise
    return wave.astype(np.float32)


def test_hear_validator(checkpoint, monkeypatch, capsys):
    stub = ModuleType("tensorflow")
    stub.Module = type("Module", (), {})
    monkeypatch.setitem(sys.modules, "tensorflow", stub)
    validate = pytest.importorskip("hearvalidator.validate")
    words = ["hear-validator", "semisupcon.adapters.hear", "--model", str(checkpoint)]
    monkeypatch.setattr(sys, "argv", [*words, "--device", "cpu"])
    validate.main()
    said = capsys.readouterr().out
    assert "Received embedding of shape: torch.Size([16, 40, 16])" in said
    assert said.rstrip().endswith("Looks good!")


@pytest.fixture
def encoder(checkpoint, monkeypatch):
    """The encoder as the command of X-ARES builds it."""
    utils = pytest.importorskip("xares.utils")
    monkeypatch.setenv("SEMISUPCON_CHECKPOINT", str(checkpoint))
    return utils.attr_from_py_path("semisupcon/adapters/xares.py", endswith="Encoder")()


def test_xares_checks_the_encoder(encoder):
    from xares.audio_encoder_checker import check_audio_encoder

    assert check_audio_encoder(encoder)  # with 50,000 samples
    assert encoder(torch.randn(2, 50_000)).shape == (2, 13, DIM)


def test_xares_runs_a_task(encoder, tmp_path, monkeypatch):
    """Encoding, a linear probe and nearest neighbours on tones of two heights."""
    task = pytest.importorskip("xares.task")
    import torchaudio

    def load(file, *_, **__):
        audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
        return torch.from_numpy(audio.T), rate

    monkeypatch.setattr(torchaudio, "load", load)
    folder = tmp_path / "tones"
    folder.mkdir()
    for place, split in enumerate(("train", "valid", "test")):
        members = []
        for n in range(place * 40, place * 40 + 40):
            file = io.BytesIO()
            soundfile.write(file, tone(n), RATE, format="FLAC")
            members += [
                (f"{n:04d}.flac", file.getvalue()),
                (f"{n:04d}.json", json.dumps({"label": n % 2}).encode()),
            ]
        write_shard(folder / f"{split}-0000.tar", members)
    (folder / ".audio_tar_ready").touch()
    config = task.TaskConfig(
        name="tones",
        env_root=tmp_path,
        encoder=encoder,
        output_dim=2,
        label_processor=lambda x: x["label"],
        num_encoder_workers=0,
        epochs=20,
        learning_rate=0.03,
    )
    mlp, knn = task.XaresTask(config).run()
    assert (mlp[0], knn[0]) == (1.0, 1.0)
    assert (tmp_path / "tones" / "embeddings" / type(encoder).__name__).is_dir()
    # Those of another checkpoint, or of another hop, lie in another folder.
    assert type(adapter.SemisupconEncoder(hop_ms=50)).__name__ != type(encoder).__name__


def test_mteb_evaluates_a_task(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path))
    mteb = pytest.importorskip("mteb")
    import datasets
    from mteb.abstasks import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    class Tones(AbsTaskClassification):
        metadata = TaskMetadata(
            type="AudioClassification",
            name="Tones",
            description="Tones of two heights.",
            reference="https://example.org",
            dataset={"path": "local", "revision": "1"},
            category="a2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="accuracy",
            date=("2025-01-01", "2025-01-01"),
            dialect=[],
            domains=[],
            task_subtypes=[],
            license="cc0-1.0",
            annotations_creators="derived",
            modalities=["audio"],
            sample_creation="created",
            bibtex_citation="",
        )
        input_column_name = "audio"
        n_experiments = 2

        def load_data(self, **kwargs):
            def rows(first):
                audio = [
                    {"array": tone(n).tolist(), "sampling_rate": RATE}
                    for n in range(first, first + 20)
                ]
                return datasets.Dataset.from_dict(
                    {"audio": audio, "label": [n % 2 for n in range(first, first + 20)]}
                )

            self.dataset = datasets.DatasetDict(train=rows(0), test=rows(20))
            self.data_loaded = True

    model = ours.load(checkpoint)
    result = mteb.evaluate(model, Tones(), cache=None, co2_tracker=False)
    (found,) = result.task_results
    assert found.get_score() == 1.0
    assert result.model_name.startswith("semisupcon/")
