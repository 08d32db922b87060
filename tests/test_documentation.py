"""Every command and every configuration in README and docs is parsed by the parser of the
command."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from semisupcon.__main__ import COMMANDS, main
from semisupcon.commands.parsing import parser as plain
from semisupcon.commands.parsing import typed
from semisupcon.commands.pretrain import configured
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.datasets import MODULES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
STARTS = (
    (r"(?:\S*/)?(?:python3? (?:-u )?-m )?semisupcon ", ()),
    (r"(?:\S*/)?(?:python3? )?pretrain\.py ", ("pretrain",)),
    (r"(?:\S*/)?(?:python3? )?probe\.py ", ("probe",)),
)


def shell_lines(text: str) -> list[str]:
    """Commands of fenced shell blocks and of code spans, on one line each, without comments."""
    blocks = re.findall(r"^```(?:bash|sh|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    joined = [re.sub(r"\\\n\s*", " ", block) for block in blocks]
    lines = [line for block in joined for line in block.splitlines()] + spans
    return [
        part.strip()
        for line in lines
        for part in re.split(r"&&|\|\|?(?![^\[{]*[\]}])|;", re.sub(r"\s#.*", "", line))
    ]


def commands(page: Path) -> list[list[str]]:
    """Arguments of `semisupcon` in a page; those with an ellipsis or without options are no whole
    commands."""
    found = []
    for line in shell_lines(page.read_text(encoding="utf-8")):
        for start, command in STARTS:
            if (match := re.search(rf"(?:^|\s){start}", f"{line} ")) is None:
                continue
            words = [*command, *shlex.split(line[match.end() :])]
            whole = (
                len(words) > 1 and "..." not in line and "…" not in line and words[0] in COMMANDS
            )
            # Also no whole command: an option without its value, and a resume, which needs the run.
            if (
                whole
                and not words[-1].startswith("--")
                and words != ["data", "check"]
                and words[1] != "--resume_from_checkpoint"
            ):
                found.append(words)
            break
    return found


class Parsed(Exception):
    """The parser has accepted the command line."""


@pytest.fixture
def parse_only(monkeypatch):
    """Commands stop when their command line has been parsed."""
    for cls in (plain.Parser, typed.TypedParser):

        def parse_args(self, *args, before=cls.parse_args, **kwargs):
            before(self, *args, **kwargs)
            raise Parsed

        monkeypatch.setattr(cls, "parse_args", parse_args)

    def stop(self):
        raise Parsed

    monkeypatch.setattr(PretrainCLI, "instantiate_classes", stop)


# `test_extending.py` runs the commands of docs/extending.md, whose classes are in files of that
# page.
ALL = [(page, words) for page in PAGES if page.name != "extending.md" for words in commands(page)]


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
@pytest.mark.parametrize(
    ("page", "words"), ALL, ids=[f"{page.stem}-{' '.join(words)[:60]}" for page, words in ALL]
)
def test_a_command_is_accepted(page, words, parse_only, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    try:
        status = main(list(words))
    except Parsed:
        return
    except SystemExit as error:
        status = error.code
    assert status == 0, f"{page.name}: {' '.join(words)}\n{capsys.readouterr().err}"


def test_commands_are_found():
    found = {words[0] for _, words in ALL}
    assert {
        "pretrain",
        "probe",
        "embed",
        "pack",
        "stream",
        "hear",
        "index",
        "search",
        "explore",
        "export",
        "import",
        "data",
    } <= found
    assert len(ALL) > 30


YAML = [
    (page, text)
    for page in PAGES
    for block in re.findall(
        r"^```ya?ml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for text in re.split(r"^---\n", block, flags=re.MULTILINE)
]


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
@pytest.mark.parametrize(("page", "text"), YAML, ids=[page.stem for page, _ in YAML])
def test_a_configuration_is_accepted(page, text, tmp_path, parse_only, capsys):
    content = yaml.safe_load(text)
    sections = {"model", "data", "trainer", "seed_everything"} & content.keys()
    if not sections:
        pytest.skip("not a configuration of pretrain")
    (tmp_path / "a.yaml").write_text(text)
    try:
        configured(["--config", "clmr", "--config", str(tmp_path / "a.yaml")])
    except Parsed:
        return
    except SystemExit:
        pytest.fail(f"{page.name}:\n{text}\n{capsys.readouterr().err}")


def test_every_benchmark_that_is_named_exists():
    named = {
        name
        for page in PAGES
        for name in re.findall(r"-m (benchmarks(?:\.\w+)+)", page.read_text(encoding="utf-8"))
    }
    assert named
    for name in sorted(named):
        assert importlib.util.find_spec(name) is not None, name


def test_every_link_leads_to_a_file():
    for page in PAGES:
        text = re.sub(
            r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?:src|href)=\"([^\"#]+)", text):
            path = next(filter(None, target))
            assert "://" in path or (page.parent / path).exists(), f"{page.name}: {path}"


def test_the_readme_counts_data_sets_and_tasks():
    """Own tables and folders are named beside the counts, not counted."""
    own = {"any_table", "class_folders", "events"}
    tasks = [task for module, names in MODULES.items() if module not in own for task in names]
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(tasks)} tasks on {len(MODULES.keys() - own)} data sets" in text


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    import semisupcon
    from semisupcon.checkpoints import export_encoder
    from semisupcon.encoders import SampleCNNSmall

    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    export_encoder(SampleCNNSmall(widths=(4, 4, 8)), tmp_path / "runs" / "first")
    noise = np.random.default_rng(0).standard_normal((2, 30000)) / 10
    soundfile.write(tmp_path / "a.mp3", noise[0], 22050)
    soundfile.write(tmp_path / "b.wav", noise[1], 22050)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102
    dims = names["encoder"].embedding_dim
    assert names["vectors"].shape == (2, dims)
    assert [len(rows) for rows in names["by_second"]] == [2, 2]
    np.testing.assert_allclose(names["similarity"].diagonal(), 1, rtol=1e-5)
    assert names["embedding"].shape == (8, dims)
    assert names["embedding"].requires_grad
    assert semisupcon.load_encoder("runs/first").embedding_dim == dims
