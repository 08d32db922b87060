"""Opening a file from a stranger runs nothing: the two holes of version 0.1, and their kind,
through the commands."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hostile import Gadget, content, pretended_export, save, watch

import semisupcon
from semisupcon.batch import DataFacts
from semisupcon.checkpoints import load_parts
from semisupcon.commands.probe import main as probe
from semisupcon.encoders import vision
from semisupcon.errors import CheckpointError, UserError
from semisupcon.public import CLASSES, FUNCTIONS, public_class
from semisupcon.spec import Recorded, build, spec_of
from semisupcon.targets import ClassSimilarity
from tests.marks import mostly_slow

ROOT = Path(__file__).resolve().parents[2]
# What version 0.1 could be made to call: its own command line, with an annotation function of the
# attacker's choice.
COMMAND_LINES = {
    "semisupcon.commands.pretrain.main": "--data.sl_task subprocess.Popen --data.sl_kwargs {{args: [mkdir,{marker}]}}",
    "semisupcon.commands.probe.main": "--tasks subprocess.Popen --task_kwargs.subprocess.Popen.args [mkdir,{marker}] --checkpoints random",
    "semisupcon.__main__.main": "data check subprocess.Popen args=[mkdir,{marker}]",
    "semisupcon.commands.data.main": "check subprocess.Popen args=[mkdir,{marker}]",
    "semisupcon.checkpoints.save_atomically": "{marker} {marker}",
    "semisupcon.datasets.load_annotations": "subprocess.Popen {marker}",
    "semisupcon.targets.importlib.import_module": "antigravity",
    "subprocess.Popen": "mkdir {marker}",
    "os.system": "mkdir {marker}",
    "builtins.exec": "__import__('os').mkdir('{marker}')",
}


def command_line(checkpoint: Path, data: Path, out: Path, *more: str) -> list[str]:
    where = [
        "--tasks",
        "pitch=csv",
        f"--data_dirs.pitch={data}",
        "--out",
        str(out),
        "--cache_dir",
        str(out / "cache"),
    ]
    return [
        *where,
        "--checkpoints",
        str(checkpoint),
        "--representations",
        "projection",
        "--resamples=10",
        *more,
    ]


@pytest.mark.parametrize(
    "target", ["ClassSimilarity", "semisupcon.targets.ClassSimilarity", "Similarity"]
)
@pytest.mark.parametrize("function", COMMAND_LINES)
@pytest.mark.parametrize(
    "trust",
    [
        (),
        ("--trust", "tests"),
        ("--trust", "semisupcon"),
        ("--trust", "semisupcon.commands.pretrain"),
    ],
)
def test_a_checkpoint_names_no_function(tones, tmp_path, capsys, target, function, trust):
    marker = tmp_path / "marker"
    evil = content()
    option = "function" if target.endswith(".Similarity") or target == "Similarity" else "matrix"
    evil["semisupcon"]["criterion"]["init_args"]["target"] = {
        "class_path": target,
        "init_args": {option: function},
    }
    evil["semisupcon"]["facts"]["classes"] = (
        COMMAND_LINES[function].format(marker=marker).split(" ")
    )
    with watch() as seen:
        status = probe(command_line(save(evil, tmp_path / "run"), tones, tmp_path / "out", *trust))
    assert status == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert (
        "--trust" in said
        if trust and trust[1].startswith("semisupcon")
        else "nothing was imported" in said
    )
    assert not marker.exists()
    assert not [event for event, _ in seen if event != "open" and event != "os.mkdir"]
    assert "antigravity" not in sys.modules


@pytest.mark.slow
def test_the_command_that_was_broken_into(tmp_path):
    """As a person types it: a process of its own."""
    marker = tmp_path / "marker"
    evil = content()
    evil["semisupcon"]["criterion"]["init_args"]["target"] = {
        "class_path": "semisupcon.targets.ClassSimilarity",
        "init_args": {"matrix": "semisupcon.commands.pretrain.main"},
    }
    evil["semisupcon"]["facts"]["classes"] = (
        COMMAND_LINES["semisupcon.commands.pretrain.main"].format(marker=marker).split(" ")
    )
    checkpoint = save(evil, tmp_path / "run")
    command = [
        sys.executable,
        "probe.py",
        "--tasks",
        "synthetic_instrument",
        "--checkpoints",
        str(checkpoint),
    ]
    done = subprocess.run(
        [*command, "--representations", "projection", "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, marker.exists()) == (2, False)
    assert "Files may not name functions" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_trusted_module_does_not_pass_on_what_it_imports(tmp_path):
    """`--trust tests` allows what is defined in tests, not the modules that tests import."""
    for path in ("hostile.os.mkdir", "hostile.spec_of", "hostile.export_encoder"):
        with pytest.raises(CheckpointError, match=r"outside --trust|cannot be imported"):
            build({"class_path": "Similarity", "init_args": {"function": path}}, trust=["hostile"])
    for trust in ("semisupcon", "semisupcon.commands", "", ".", "a b", "os.path; import x"):
        with pytest.raises(CheckpointError, match="--trust"):
            build({"class_path": "hostile.Gadget", "init_args": {}}, trust=[trust])


# Every public class with hostile values in each argument, and the classes of the package that are
# not public.

HOSTILE = (
    "semisupcon.commands.pretrain.main",
    "subprocess.Popen",
    "os.system",
    "hf-hub:somebody/model",
    "https://example.invalid/x.pt",
    "../../x",
)


def everything_recorded():
    for module in pkgutil.walk_packages(semisupcon.__path__, "semisupcon."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [Recorded]
    while waiting:
        below = [
            cls
            for cls in waiting.pop().__subclasses__()
            if cls.__module__.startswith("semisupcon.")
        ]
        found += below
        waiting += below
    return set(found)


def test_the_table_holds_what_checkpoints_hold_and_nothing_else():
    from semisupcon.encoders.base import Encoder
    from semisupcon.encoders.pooling import Pool
    from semisupcon.frontends import Frontend, Normalization
    from semisupcon.heads import Head
    from semisupcon.objectives.base import Criterion
    from semisupcon.targets import Target

    kinds = (Encoder, Pool, Frontend, Normalization, Head, Criterion, Target)
    abstract = {
        "Encoder",
        "Pool",
        "Frontend",
        "MelFrontend",
        "Normalization",
        "Head",
        "Criterion",
        "ViewCriterion",
        "Target",
    }
    parts = {"Bilinear", "Cosine", "SpecAugment", "BandShift"}  # of criteria
    public = {
        cls.__name__
        for cls in everything_recorded()
        if issubclass(cls, kinds)
        and not cls.__name__.startswith("_")
        # No checkpoint holds a baseline; a path to its class is refused.
        and not cls.__module__.startswith("semisupcon.probing.")
    }
    assert set(CLASSES) == (public - abstract - {"ForeignEncoder"}) | parts
    assert all(public_class(name).__module__ == module for name, module in CLASSES.items())


def once_per_arguments(function):
    """The function, called once for all equal arguments: models of timm take long to build."""
    found = {}

    def call(*args):
        key = tuple(id(a) if isinstance(a, vision.FeatureMap) else repr(a) for a in args)
        if key not in found:
            found[key] = (function(*args), args)  # Keeps the arguments, so that an id stays theirs.
        return found[key][0]

    return call


# Built like others that are tried, and slow to build.
HEAVY = {"ConvNeXtLarge", "ConvNeXtTiny", "EfficientNetB0", "Res1dNet31", "Res1dNet51", "ResNet1d"}
HEAVY |= {"SampleCNNXL", "SplitResNet1d", "SplitResNet2d"}


@pytest.mark.parametrize("name", mostly_slow(sorted(CLASSES), set(CLASSES) - HEAVY))
def test_no_argument_of_a_public_class_reaches_beyond_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("create", "smallest_input", "never_called"):
        monkeypatch.setattr(vision, part, once_per_arguments(getattr(vision, part)))
    marker, trap = tmp_path / "marker", tmp_path / "trap.pt"
    torch.save({"state_dict": Gadget(marker)}, trap)
    cls = public_class(name)
    parameters = [
        p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"
    ]
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)] + [
        "checkpoint_path",
        "pretrained_cfg",
    ]
    values = [
        *HOSTILE,
        str(trap),
        {"class_path": "os.system", "init_args": {"command": f"mkdir {marker}"}},
        [f"mkdir {marker}"],
        10**18,
        None,
    ]
    values += [
        {"checkpoint_path": str(trap)},
        {"pretrained_cfg": {"file": str(trap)}, "pretrained": True},
        {"cache_dir": str(tmp_path)},
    ]
    facts = DataFacts(
        tuple(HOSTILE),
        "multiclass",
        operators=tuple(HOSTILE),
        parameter_names=tuple((h,) for h in HOSTILE),
    )
    with watch() as seen:
        for argument in names:
            for value in values:
                try:
                    # Widths of 10**18 are refused by what computes, not by the machine's memory.
                    with torch.device("meta"):
                        made = build({"class_path": name, "init_args": {argument: value}})
                    if hasattr(made, "prepare"):
                        made.prepare(facts)
                except UserError:
                    continue
                except Exception:
                    # Preparing may fail: `load_parts` makes a sentence of it.
                    if not hasattr(cls, "prepare"):
                        raise
    assert not marker.exists()
    opened = [
        what
        for event, what in seen
        if event == "open" and ("trap" in what or "example.invalid" in what)
    ]
    assert not opened
    assert not [
        event
        for event, _ in seen
        if event in ("subprocess.Popen", "os.system", "os.exec", "socket.connect")
    ]


NOT_PUBLIC = sorted(
    (cls for cls in everything_recorded() if cls.__name__ not in CLASSES),
    key=lambda cls: cls.__qualname__,
)


@pytest.mark.parametrize("cls", NOT_PUBLIC, ids=lambda cls: cls.__name__)
def test_classes_that_are_not_public_are_refused_by_every_name(cls):
    for path in (cls.__name__, f"{cls.__module__}.{cls.__qualname__}"):
        with pytest.raises(CheckpointError, match="not a public class"):
            build({"class_path": path, "init_args": {}})


# timm's loader of pickles.

OPTIONS = (
    lambda trap: {"checkpoint_path": trap},
    lambda trap: {"pretrained_cfg": {"file": trap, "architecture": "resnet18"}},
    lambda trap: {"pretrained_cfg_overlay": {"url": f"file://{trap}"}},
    lambda trap: {"cache_dir": trap},
    lambda trap: {"pretrained": True},
    lambda trap: {"act_layer": trap},
    lambda trap: {"act_layer": {"class_path": "os.system", "init_args": {"command": "id"}}},
    lambda trap: {"norm_layer": ["os", "system"]} | {"model_name": "x"},
)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("spec", ["TimmEncoder", "semisupcon.encoders.vision.TimmEncoder"])
def test_an_export_hands_timm_no_file(tmp_path, capsys, options, spec):
    from semisupcon.__main__ import main

    marker, trap = tmp_path / "marker", tmp_path / "extra.pt"
    torch.save({"state_dict": Gadget(marker)}, trap)
    encoder = {
        "class_path": spec,
        "init_args": {"model": "resnet18", "options": options(str(trap))},
    }
    folder = pretended_export(tmp_path / "evil", encoder)
    with watch() as seen:
        status = main(["export", str(folder), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert (status, marker.exists()) == (2, False)
    assert said.startswith(("error: The option", "error: The file names 'os.system'"))
    assert not [what for event, what in seen if event == "open" and "extra" in what]


@pytest.mark.parametrize(
    "model",
    ["hf-hub:somebody/model", "local-dir:/x", "hf_hub:a/b", "../x", "resnet18\n", "", 7, None],
)
def test_an_export_names_a_model_of_timm_by_a_plain_word(tmp_path, capsys, model):
    from semisupcon.__main__ import main

    folder = pretended_export(
        tmp_path / "evil", {"class_path": "TimmEncoder", "init_args": {"model": model}}
    )
    assert main(["export", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "plain words" in capsys.readouterr().err


# What is honest still works.


def test_the_similarity_of_keys_is_stored_as_numbers_and_its_old_name_still_read(tmp_path):
    from semisupcon.datasets.keys import KEYS, key_similarity

    old = next(iter(FUNCTIONS))
    target = ClassSimilarity(FUNCTIONS[old])
    facts = DataFacts(tuple(KEYS), "multiclass")
    target.prepare(facts)
    spec = json.loads(json.dumps(spec_of(target)))
    assert torch.equal(
        torch.tensor(spec["init_args"]["matrix"]),
        torch.as_tensor(key_similarity(KEYS), dtype=torch.float32),
    )
    for written in (
        spec,
        {"class_path": "semisupcon.targets.ClassSimilarity", "init_args": {"matrix": old}},
    ):
        again = build(written)
        again.prepare(facts)
        assert torch.equal(again.similarity, target.similarity)


def close(labels_rows, labels_columns):
    """A similarity of a user's own."""
    return (labels_rows[:, None] == labels_columns).all(dim=2).float()


def test_a_function_of_the_user_s_own_needs_trust(tmp_path):
    own = content()
    own["semisupcon"]["criterion"]["init_args"]["target"] = {
        "class_path": "Similarity",
        "init_args": {"function": f"{__name__}.close"},
    }
    checkpoint = save(own, tmp_path / "run")
    with pytest.raises(CheckpointError, match="allow its module with --trust"):
        load_parts(checkpoint)
    assert type(load_parts(checkpoint, trust=[__name__])[1].target).__name__ == "Similarity"


def test_a_newer_format_is_refused_in_a_sentence(tmp_path, capsys):
    from semisupcon.__main__ import main

    newer = content()
    newer["semisupcon"]["version"] = 99
    folder = pretended_export(tmp_path / "export", {})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": 99}))
    for source in (save(newer, tmp_path / "run"), folder):
        assert main(["export", str(source), "--out", str(tmp_path / "out")]) == 2
        assert "Install a newer semisupcon" in capsys.readouterr().err
