"""Names of classes, columns, folders and runs are text wherever they are given, also where YAML
reads something else in them."""

import json

import hypothesis
import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import strategies as st

from semisupcon.__main__ import main
from semisupcon.commands.data import task_options
from semisupcon.commands.parsing.probe_options import parser as probe_parser
from semisupcon.commands.pretrain import configured
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.commands.probe import gather_task_options
from semisupcon.configuration import read_scalars, read_value
from semisupcon.data.packed.checks import HEADER
from semisupcon.datasets.any_table import csv
from semisupcon.datasets.parsing.options import typed_options
from semisupcon.errors import ConfigError
from semisupcon.written import marked, resolved, unmarked

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
WORDS = (
    "yes",
    "no",
    "on",
    "off",
    "true",
    "False",
    "null",
    "~",
    "007",
    "0o7",
    "010",
    "1e3",
    "1_000",
    "1.0",
    "2024-01-01",
    "12:30",
    "y",
    ".5",
)


@pytest.fixture(scope="module")
def parse():
    """Parse a command line of `pretrain`; gives the configuration as it is written into
    run_config.yaml, and the data module's sources."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainCLI, "instantiate_classes", lambda self: None)
        parser = configured(["--model.encoder", "SampleCNN", "--model.criterion", "SimCLR"]).parser

    def parsed(*words):
        found = parser.parse_args(
            ["--model.encoder", "SampleCNN", "--model.criterion", "SimCLR", *map(str, words)]
        )
        return (
            found,
            yaml.safe_load(parser.dump(found, skip_none=False)),
            parser.instantiate_classes(found).data.sources,
        )

    return parsed


@pytest.fixture
def words(tmp_path):
    """A folder a class, named by what YAML does not read as text."""
    for i, name in enumerate(("yes", "no", "on", "off", "007", "1e3", "null", "up")):
        (tmp_path / name).mkdir()
        for clip in range(2):
            soundfile.write(
                tmp_path / name / f"{clip}.wav",
                0.1 * np.random.default_rng(2 * i + clip).standard_normal(2000),
                8000,
            )
    return tmp_path


def test_names_of_tasks_options_on_the_command_line_and_in_files(parse, tmp_path):
    names = list(WORDS)
    for form in ("list", "mapping", "file", "quoted file"):
        config = tmp_path / "c.yaml"
        if form == "list":
            given = [
                "--data.sl_task",
                "class_folders",
                f"--data.sl_kwargs.ignore=[{', '.join(names)}]",
            ]
        elif form == "mapping":
            given = [
                "--data.sl_task",
                "class_folders",
                "--data.sl_kwargs",
                f"{{ignore: [{', '.join(names)}]}}",
            ]
        else:
            listed = f"[{', '.join(names)}]" if form == "file" else json.dumps(names)
            config.write_text(
                f"data: {{sl_task: class_folders, sl_kwargs: {{ignore: {listed}, seed: 010, fold: "
                f"1}}}}"
            )
            given = ["--config", config]
        _, dumped, sources = parse(*given)
        assert sources[3]["ignore"] == names, form
        assert all(type(name) is str for name in dumped["data"]["init_args"]["sl_kwargs"]["ignore"])
        assert dumped["data"]["init_args"]["sl_kwargs"]["ignore"] == names, form
    assert sources[3]["seed"] == 10


@pytest.mark.parametrize("name", ["on", "null", "007", "1e3", "2024-01-01"])
def test_one_name_is_text_and_null_clears_what_may_be_null(parse, tmp_path, name):
    (tmp_path / "c.yaml").write_text(
        f"data: {{sl_task: csv, sl_kwargs: {{label: {name}, group: {name}, split: {name}}}}}\n"
    )
    options = [f"--data.sl_kwargs.{option}={name}" for option in ("label", "group", "split")]
    for given in (["--data.sl_task", "csv", *options], ["--config", tmp_path / "c.yaml"]):
        text_or_null = None if name == "null" else name
        assert parse(*given)[2][3] == {"label": name, "group": text_or_null, "split": text_or_null}


@pytest.mark.parametrize("name", WORDS)
def test_each_word_alone_and_in_a_list(name):
    found = typed_options(
        "csv",
        csv,
        {
            "label": read_scalars(name),
            "classes": read_scalars(f"[{name}, 'x']"),
            "path": read_scalars(f"'{name}'"),
        },
    )
    assert found == {"label": name, "classes": [name, "x"], "path": name}


def test_run_config_is_read_back_as_it_was(parse, tmp_path):
    given = [
        "--data.sl_task",
        "class_folders",
        "--data.sl_kwargs.ignore",
        f"[{', '.join(WORDS)}]",
        "--tags",
        "[yes, 007]",
        "--group",
        "on",
    ]
    _, first, sources = parse(*given, "--run_name", "1e3", "--data.data_dir", "2024")
    (tmp_path / "run_config.yaml").write_text(yaml.safe_dump(first))
    _, second, again = parse("--config", tmp_path / "run_config.yaml")
    assert again == sources
    assert second == first
    assert (first["tags"], first["group"], first["run_name"], sources[2]) == (
        ["yes", "007"],
        "on",
        "1e3",
        "2024",
    )


def test_options_of_the_run_are_text_in_files(parse, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "tags: [on, 1, null]\ngroup: off\nrun_name: 007\nlog: off\nproject: 12\ndata: {data_dir: "
        "1_0, val_split: 1e-1}\n"
    )
    found = parse("--config", tmp_path / "c.yaml")[1]
    assert {name: found[name] for name in ("tags", "group", "run_name", "log", "project")} == {
        "tags": ["on", "1", "null"],
        "group": "off",
        "run_name": "007",
        "log": False,
        "project": "12",
    }
    assert (found["data"]["init_args"]["data_dir"], found["data"]["init_args"]["val_split"]) == (
        "1_0",
        0.1,
    )


def test_probe_reads_names_as_text(tmp_path):
    def parse(*words):
        return probe_parser().parse_args(gather_task_options(list(words)))

    need = ["--checkpoints", "random"]
    (tmp_path / "c.yaml").write_text(
        "tasks: [on=class_folders, 007]\ncolour_by: no\ndata_dirs: {on: /x, 007: /y}\ntask_kwargs: "
        "{on: {ignore: [yes, 1e3], test: off}}\n"
    )
    for given in (
        ["--config", str(tmp_path / "c.yaml")],
        [
            "--tasks",
            "[on=class_folders,007]",
            "--colour_by",
            "no",
            "--data_dirs.on",
            "/x",
            "--data_dirs.007=/y",
            *("--task_kwargs.on.ignore", "[yes, 1e3]", "--task_kwargs.on.test=off"),
        ],
        [
            "--tasks=[on=class_folders,007]",
            "--colour_by=no",
            "--data_dirs",
            "{on: /x, 007: /y}",
            *("--task_kwargs", "{on: {ignore: [yes, 1e3], test: off}}"),
        ],
    ):
        found = parse(*given, *need)
        assert found.tasks == ["on=class_folders", "007"]
        assert (found.colour_by, found.data_dirs) == ("no", {"on": "/x", "007": "/y"})
        assert found.task_kwargs == {"on": {"ignore": ["yes", "1e3"], "test": "off"}}


def test_data_check_leaves_out_and_tests_on_the_folders_named(words, capsys):
    def classes(*options):
        assert main(["data", "check", "class_folders", "--data_dir", str(words), *options]) in (
            0,
            1,
        ), capsys.readouterr().err
        lines = [line.split() for line in capsys.readouterr().out.split("class ")[1].splitlines()]
        return {
            line[0]: line[3]
            for line in lines
            if len(line) == 4 and all(n.isdigit() for n in line[1:])
        }

    found = classes("--ignore", "[yes,on,007,null]", "--test", "[no,1e3]", "--train", "rest")
    assert {name for name, test in found.items() if int(test)} == {"no", "1e3"}
    assert not {"yes", "on", "007", "null"} & set(found)
    assert {
        name for name, test in classes("--test", "off", "--train", "rest").items() if test == "2"
    } == {"off"}


def test_pack_trains_on_the_classes_named(words, tmp_path):
    config = tmp_path / "pack.yaml"
    config.write_text(
        f"data: {{sl_task: class_folders, data_dir: {words}, target_sample_rate: 8000,"
        " sl_kwargs: {ignore: [off, 007], test: [yes, null], train: rest}}"
    )
    assert main(["pack", "--config", str(config), "--out", str(tmp_path / "packed")]) == 0
    assert json.loads((tmp_path / "packed" / HEADER).read_text())["classes"] == [
        "1e3",
        "no",
        "null",
        "on",
        "up",
        "yes",
    ]


def test_options_of_another_type_are_sentences(words, capsys):
    def said(*options):
        assert main(["data", "check", "class_folders", "--data_dir", str(words), *options]) == 2
        return capsys.readouterr().err

    assert (
        "Option 'fold' of task 'class_folders' does not take 'two'. It takes a whole number."
        in said("--fold", "two")
    )
    assert "Option 'seed' of task 'class_folders' does not take '1.5'" in said("--seed", "1.5")
    assert (
        "Option 'fractions' of task 'class_folders' does not take '0.8'. It takes a mapping."
        in said("--fractions", "0.8")
    )


def annotated(
    root,
    *,
    names: list[str] = (),
    flag: bool = False,
    either: str | int = 0,
    shares: dict[str, float] | None = None,
    free=None,
):
    """Options of every kind."""


def test_a_function_gets_what_its_annotations_say():
    def typed(**options):
        return typed_options("t", annotated, options)

    plain = {
        name: read_scalars(text)
        for name, text in {"names": "on", "flag": "on", "either": "012", "free": "on"}.items()
    }
    assert typed(**plain) == {"names": ["on"], "flag": True, "either": "012", "free": True}
    assert typed(names="a, b", shares=read_scalars("{on: 1, 7: 0.5}")) == {
        "names": ["a", "b"],
        "shares": {"on": 1, "7": 0.5},
    }
    assert typed(names=[0, 1089]) == {"names": ["0", "1089"]}
    with pytest.raises(ConfigError, match="Write names in quotes"):
        typed(names=[True])
    with pytest.raises(ConfigError, match=r"has no option .nmaes"):
        typed(nmaes="x")


def test_values_of_the_command_line():
    assert task_options(["--a", "yes", "--b=[1, x]"]) == {"a": True, "b": [1, "x"]}
    assert read_scalars("take #2") == "take #2"
    assert read_scalars("#1") == "#1"
    assert read_scalars("'on'") == "on"


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    st.recursive(
        st.text() | st.sampled_from(WORDS),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
        max_leaves=8,
    )
)
def test_marked_text_comes_back_through_yaml(content):
    assert unmarked(yaml.safe_load(yaml.safe_dump(marked(content))), read_value) == content
    assert resolved(content) == content
