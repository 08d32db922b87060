"""Mistakes in the options of probe and embed: status 2, a sentence, no traceback, nothing embedded
or written."""

import pytest

from semisupcon.__main__ import main as semisupcon
from semisupcon.commands.probe import main

MISTAKES = {
    "--projection foo": "tsne, umap, none",
    "--robustness severities": "Did you mean 'severity'?",
    "--invariance gian": "Did you mean 'gain'?",
    "--colour_by artist": "no column 'artist'",
    "--device cudaa": "--device cudaa",
    "--device cuda:7": "--device cuda:7",
    "--batch_size 0": "--batch_size must be at least 1",
    "--resamples 0": "--resamples must be at least 1",
    "--seeds a": "--seeds takes whole numbers",
    "--aggregation foo": "embedding, logit",
    "--distance foo": "cosine or euclidean",
    "--methods liner": "Did you mean 'linear'?",
    "--train_share 2": "share of training clips",
    "--on_error ignore": "--on_error is fail or skip",
    "--head x": "--test_only and --head",
    "--representations projektion": "without heads",
    "--trust semisupcon": "--trust takes modules outside semisupcon",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_told_before_anything_is_embedded(tones, exported, tmp_path, capsys, typed):
    where = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={tones}",
        "--checkpoints",
        str(exported),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*where, "--cache_dir", str(tmp_path / "cache"), *typed.split()]) == 2
    said = capsys.readouterr().err
    said = said[said.index("error: ") :]
    assert MISTAKES[typed] in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [("--device cudaa", "--device cudaa"), ("--batch_size 0", "--batch_size must be at least 1")],
)
def test_mistakes_of_embed(tones, exported, tmp_path, capsys, typed, said):
    assert (
        semisupcon(
            [
                "embed",
                str(tones),
                "--checkpoint",
                str(exported),
                "--out",
                str(tmp_path / "e.npy"),
                *typed.split(),
            ]
        )
        == 2
    )
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
