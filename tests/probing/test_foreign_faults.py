"""Modules that are none of ours, through the command: what their cached embeddings depend on, their
untrained twins, and mistakes."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from semisupcon.__main__ import main as semisupcon
from semisupcon.commands.probe import main
from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.encoders import load_subject, random_twin

NET = '''
import torch
from torch import nn
from {helper} import scale

class Lags(nn.Module):
    """Without parameters: autocorrelation at k lags."""
    sample_rate, segment_samples = 8000, 2000
    def __init__(self, k=1):
        super().__init__()
        self.k = k
    def forward(self, x):
        x = x[:, 0]
        rows = [(x[:, i:] * x[:, : x.shape[1] - i]).mean(1) for i in range(3)]
        return torch.stack(rows, 1) * scale * self.k

class Loads(nn.Module):
    """Loads its weights in its constructor."""
    sample_rate, segment_samples = 8000, 2000
    def __init__(self, file="{weights}"):
        super().__init__()
        from safetensors.torch import load_file
        self.net = nn.Sequential(nn.Conv1d(1, 6, 40, 20), nn.BatchNorm1d(6), nn.ReLU())
        self.load_state_dict(load_file(file))
    def forward(self, x):
        return self.net(x)

class Raw(Loads):
    """Has a tensor that no module initialises."""
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.arange(6.0)[None, :, None])
    def forward(self, x):
        return self.net(x) * self.gain

class Drawn(Loads):
    """Has such a tensor, drawn at random."""
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(1, 6, 1))

class Whole(nn.Module):
    """Takes clips of any length."""
    sample_rate, whole_clips, min_samples = 8000, True, 1000
    def forward(self, x, length):
        assert x.shape[2] == int(length[0]) and len(length) == len(x)
        return torch.stack([length.float(), x.std(dim=(1, 2))], dim=1)

class Needy(nn.Module):
    sample_rate, segment_samples = 8000, 2000
    def __init__(self):
        super().__init__()
        import no_such_package

class Fussy(nn.Module):
    sample_rate, segment_samples = 8000, 2000
    def __init__(self, k=1):
        super().__init__()
        raise ValueError("k must be even")

class Late(nn.Module):
    sample_rate, segment_samples = 8000, 2000
    def forward(self, x):
        import no_such_package

def function():
    return Lags()
'''


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """A folder with a module of its own name and one beside it; the current folder."""
    mine = f"nets_{abs(hash(request.node.name)) % 10**8}"
    torch.manual_seed(3)
    weights = {
        **torch.nn.Sequential(
            torch.nn.Conv1d(1, 6, 40, 20), torch.nn.BatchNorm1d(6), torch.nn.ReLU()
        ).state_dict(prefix="net.")
    }
    save_file(weights, tmp_path / "w.safetensors")
    (tmp_path / f"{mine}_helper.py").write_text("scale = 1.0\n")
    text = NET.replace("{helper}", f"{mine}_helper")
    text = text.replace("{weights}", str(tmp_path / "w.safetensors"))
    (tmp_path / f"{mine}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield mine
    for name in (mine, f"{mine}_helper"):
        sys.modules.pop(name, None)


def asked(tones, tmp_path, checkpoints, trust, *more):
    return main(
        [
            *("--tasks", "pitch=csv", f"--data_dirs.pitch={tones}"),
            *("--checkpoints", f"[{','.join(checkpoints)}]", "--trust", trust),
            *("--out", str(tmp_path / "out"), "--cache_dir", str(tmp_path / "cache")),
            *("--methods", "knn", "--projection", "none", "--resamples", "20", *more),
        ]
    )


def stored(tmp_path):
    """Folders of the cache that hold embeddings."""
    return {file.parent.name for file in (tmp_path / "cache").rglob("*.npy")}


def described(mine, name, text):
    Path(name).write_text(f"class_path: {mine}.{text}\n")
    return name


def test_two_files_that_differ_in_one_argument_share_no_embeddings(folder, tones, tmp_path):
    one = described(folder, "one.yaml", "Lags\ninit_args: {k: 1}")
    five = described(folder, "five.yaml", "Lags\ninit_args: {k: 5}")
    assert asked(tones, tmp_path, [one, five], folder) == 0
    assert len(stored(tmp_path)) == 2
    means = [np.load(f).mean() for f in (tmp_path / "cache").rglob("*.npy")]
    assert max(means) == pytest.approx(5 * min(means), rel=1e-4)


@pytest.mark.parametrize("what", ["class", "helper", "weights", "nothing"])
def test_edited_code_and_weights_are_noticed(folder, tmp_path, what):
    """The module is imported anew each time, as in a new process."""
    other = torch.nn.Conv1d(1, 6, 40, 20).state_dict(prefix="net.0.")

    def run():
        for name in (folder, f"{folder}_helper"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return load_subject(f"{folder}.Loads", trust=[folder]).fingerprint()

    before = run()
    file = tmp_path / f"{folder}{'_helper' * (what == 'helper')}.py"
    if what in ("class", "helper"):
        file.write_text(file.read_text() + "\n# edited\n")
    elif what == "weights":
        from safetensors.torch import load_file

        save_file(load_file("w.safetensors") | other, "w.safetensors")
    assert (run() == before) is (what == "nothing")


def test_an_untrained_twin_of_a_class_that_loads_its_weights(folder):
    subject = load_subject(f"{folder}.Loads", trust=[folder])
    twin, same, other = (random_twin(subject, seed) for seed in (0, 0, 1))
    trained, fresh = (dict(s.encoder.named_parameters()) for s in (subject, twin))
    assert not torch.equal(trained["trunk.net.0.weight"], fresh["trunk.net.0.weight"])
    assert twin.fingerprint() == same.fingerprint() != other.fingerprint()
    x = torch.randn(2, 1, 2000)
    assert not torch.allclose(subject(x), twin(x))


def test_what_cannot_be_initialised_is_refused(folder, tones, tmp_path, capsys):
    assert asked(tones, tmp_path, [f"{folder}.Raw", "random"], folder) == 2
    said = capsys.readouterr().err
    assert "nothing initialises gain" in said
    assert "reset_parameters()" in said
    assert not stored(tmp_path)
    subject = load_subject(f"{folder}.Drawn", trust=[folder])
    gains = [random_twin(subject, seed).encoder.trunk.gain for seed in (0, 1)]
    assert not torch.equal(*gains)


def test_twins_have_names_and_are_embedded_once(folder, tones, tmp_path):
    """Same class and arguments but other weights: one twin. Another architecture: another."""
    save_file(torch.nn.Conv1d(1, 5, 40, 20).state_dict(prefix="net."), "flat.safetensors")
    Path("flats.py").write_text(
        "from torch import nn\n"
        "class Flat(nn.Module):\n"
        "    sample_rate, segment_samples = 8000, 2000\n"
        "    def __init__(self, width=5):\n"
        "        super().__init__()\n"
        "        self.net = nn.Conv1d(1, width, 40, 20)\n"
        "    def forward(self, x):\n"
        "        return self.net(x).relu()\n"
    )
    described("flats", "a.yaml", "Flat\nweights: flat.safetensors")
    described("flats", "b.yaml", "Flat")
    described("flats", "wide.yaml", "Flat\ninit_args: {width: 7}")
    described(folder, "loads.yaml", "Loads")
    names = ["a.yaml", "b.yaml", "wide.yaml", "loads.yaml", "random"]
    code = asked(tones, tmp_path, names, f"[{folder},flats]", "--calibrate_random", "false")
    assert code == 0
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    twins = set(rows.loc[rows["source"] == "random", "checkpoint"])
    assert twins == {"random Flat (a)", "random Flat (wide)", "random Loads"}
    # b and wide have no weights: they are the untrained twins of seed 0, and embedded once.
    assert len(stored(tmp_path)) == 4 + 3 - 2
    sys.modules.pop("flats")


def test_whole_clips_get_their_length(folder, tones, tmp_path):
    import soundfile

    assert asked(tones, tmp_path, [f"{folder}.Whole"], folder) == 0
    rows = np.concatenate([np.load(f) for f in (tmp_path / "cache").rglob("*.npy")])
    lengths = sorted(soundfile.info(f).frames for f in tones.glob("*.wav"))
    assert sorted(rows[:, 0].astype(int)) == lengths


MISTAKES = {
    "{mine}.Needy": "Needy needs no_such_package, which is not installed: pip install",
    "{mine}.Late": "Late needs no_such_package",
    "{mine}.Fussy": "Fussy cannot be instantiated: ValueError: k must be even",
    "{mine}.Absent": "cannot be imported",
    "{mine}.function": "not a module class: it is a function",
    "{mine}.absent.Net": "cannot be imported",
    "other.module.Net": "--trust other.module",
    "absent.yaml": "No file absent.yaml",
    "absent/run": "No checkpoint at absent/run",
    "absent.ckpt": "No checkpoint at absent.ckpt",
    "mfc": "No checkpoint at mfc",
    "broken_net.Net": "SyntaxError",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_sentences(folder, tones, tmp_path, capsys, text):
    Path("broken_net.py").write_text("class Net(\n")
    checkpoint = text.replace("{mine}", folder)
    assert asked(tones, tmp_path, [checkpoint], f"[{folder},broken_net]") == 2
    said = capsys.readouterr().err
    assert MISTAKES[text] in said
    assert "Traceback" not in said
    assert len(said[said.index("error: ") :].strip().splitlines()) <= 3
    assert not (tmp_path / "out").exists()
    assert not stored(tmp_path)


def test_a_class_path_needs_trust_and_imports_nothing_without(tones, tmp_path, capsys):
    assert asked(tones, tmp_path, ["antigravity.Net"], "[]") == 2
    assert "--trust antigravity" in capsys.readouterr().err
    assert "antigravity" not in sys.modules


def test_random_alone_has_nothing_to_copy(folder, tones, tmp_path, capsys):
    assert asked(tones, tmp_path, [f"{folder}.Lags", "random"], folder) == 2
    assert "there is none for Lags" in capsys.readouterr().err.replace(f"{folder}.", "")


def test_embed_takes_no_class_path(folder, tones, capsys):
    """Only probe does; the message of embed is the usual one."""
    given = ["embed", str(tones), "--checkpoint", f"{folder}.Lags", "--out", "x.npy"]
    assert semisupcon(given) == 2
    assert "No checkpoint" in capsys.readouterr().err


def test_untrained_is_refused_for_a_tensor_of_one_value_that_is_no_constant():
    class Scaled(torch.nn.Module):
        sample_rate, segment_samples = 8000, 2000

        def __init__(self):
            super().__init__()
            self.net = torch.nn.Conv1d(1, 4, 40, 20)
            self.scale = torch.nn.Parameter(torch.tensor([2.7]))

        def forward(self, x):
            return self.net(x) * self.scale

    from semisupcon.probing.embeddings.untrained import untrained

    with pytest.raises(ConfigError, match="nothing initialises scale"):
        untrained(Scaled, 0, "Scaled")
