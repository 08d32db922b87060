"""YAML files, and how several are layered."""

from pathlib import Path

import pytest
import yaml

from semisupcon.configuration import lay_over, layered, read_value, read_yaml, section
from semisupcon.errors import ConfigError
from semisupcon.recipes import recipes_folder

BELOW = {"class_path": "SampleCNN", "init_args": {"widths": [1, 2], "sample_rate": 8000}}


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        (
            {"a": 1, "b": {"c": 2, "d": 3}},
            {"b": {"c": 4}, "e": 5},
            {"a": 1, "b": {"c": 4, "d": 3}, "e": 5},
        ),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1]}, {"a+": 2}, {"a": [1, 2]}),
        ({"a+": [1]}, {"a+": [2]}, {"a+": [1, 2]}),
        ({"a+": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": None}, {"a+": [2]}, {"a": [2]}),
        (
            BELOW,
            {"init_args": {"sample_rate": 16000}},
            BELOW | {"init_args": {"widths": [1, 2], "sample_rate": 16000}},
        ),
        (
            BELOW,
            {"sample_rate": 16000},
            BELOW | {"init_args": {"widths": [1, 2], "sample_rate": 16000}},
        ),
        (
            {"sample_rate": 1},
            {"class_path": "A", "init_args": {"x": 2}},
            {"class_path": "A", "init_args": {"sample_rate": 1, "x": 2}},
        ),
        (
            "SampleCNN",
            {"init_args": {"stem": 3}},
            {"class_path": "SampleCNN", "init_args": {"stem": 3}},
        ),
        (BELOW, "SampleCNN", BELOW),
        (
            BELOW,
            {"class_path": "semisupcon.encoders.SampleCNN"},
            BELOW | {"class_path": "semisupcon.encoders.SampleCNN"},
        ),
    ],
)
def test_rules(below, above, expected):
    assert lay_over(below, above) == expected


def test_another_class_keeps_the_options_that_it_has():
    asked = []

    def accepts(name, option, value):
        asked.append((name, option, value))
        return option == "sample_rate"

    above = {"class_path": "ResNet1d", "init_args": {"depth": 18}}
    expected = {"class_path": "ResNet1d", "init_args": {"sample_rate": 8000, "depth": 18}}
    assert lay_over({"encoder": BELOW}, {"encoder": above}, accepts) == {"encoder": expected}
    assert asked == [("ResNet1d", "widths", [1, 2]), ("ResNet1d", "sample_rate", 8000)]
    assert lay_over(BELOW, "ResNet1d", accepts) == {
        "class_path": "ResNet1d",
        "init_args": {"sample_rate": 8000},
    }


def test_files_are_layered_in_order(tmp_path):
    for name, text in {
        "a": "x: {y: 1, z: [1]}\n",
        "b": "x: {y: 2}\n",
        "c": "# nothing\n",
        "d": "w: 1e-3\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    assert layered(tmp_path / f"{name}.yaml" for name in "abcd") == {
        "x": {"y": 2, "z": [1]},
        "w": 1e-3,
    }
    assert layered([]) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The configuration cannot be read: No such file or directory.\nIn: "),
        (b"\xff\xfe\x00", "The configuration cannot be read: it is not text.\nIn: "),
        (b"a: [1\nb: 2", "The configuration is not valid YAML: "),
        (b"- 1\n- 2", "The configuration is not a mapping of names to values.\nIn: "),
        (b"a: !!python/object/apply:os.system [ls]", "The configuration is not valid YAML: "),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(message)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_numbers_are_read_as_on_the_command_line():
    from jsonargparse._loaders_dumpers import get_yaml_default_loader

    for text in (
        "1e-3",
        "1",
        "1.5",
        "1_000",
        "-.5",
        ".inf",
        "2020-01-01",
        "a: 1e3",
        "[1e-4, x]",
        "1:30.5",
        "yes",
        "null",
        "0x10",
    ):
        expected = yaml.load(text, Loader=get_yaml_default_loader())
        assert read_value(text) == expected, text
    assert read_value("[a") == "[a"


def test_a_section_has_two_forms():
    assert section({"data": {"views": 2}}, "data") == {"views": 2}
    assert section(
        {"data": {"class_path": "AudioDataModule", "init_args": {"views": 2}}}, "data"
    ) == {"views": 2}
    assert (
        section({"data": {"class_path": "AudioDataModule"}}, "data")
        == section({"data": None}, "data")
        == section({}, "data")
        == {}
    )
    with pytest.raises(
        ConfigError, match="The section 'data' of the configuration is not a mapping"
    ):
        section({"data": [1]}, "data")


def written(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_file_names_the_files_that_it_builds_on(tmp_path):
    (tmp_path / "base").mkdir()
    written(
        tmp_path / "base",
        deep="x: {y: 1, z: 1}\n",
        one="builds_on: deep.yaml\nx: {z: 2}\n",
        two="w: [2]\n",
    )
    top = (
        written(tmp_path, top="builds_on: [base/one.yaml, base/two.yaml]\nx: {v: 3}\nw+: 3\n")
        / "top.yaml"
    )
    assert layered([top]) == {"x": {"y": 1, "z": 2, "v": 3}, "w": [2, 3]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("builds_on: [top.yaml]", "builds_on: a configuration builds on itself.\nIn: .*top.yaml"),
        (
            "builds_on: [none.yaml]",
            "builds_on names a file that does not exist: none.yaml.\nIn: .*top.yaml",
        ),
        ("builds_on: {a: 1}", "builds_on takes a list of YAML files"),
        ("builds_on: [1]", "builds_on takes a list of YAML files"),
    ],
)
def test_a_wrong_base_is_named_with_the_file_that_names_it(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        layered([written(tmp_path, top=text) / "top.yaml"])


@pytest.mark.parametrize(
    "text", ["a: 1\nb: {c: 1}\na: 2\n", "x:\n  a: 1\n  b: 2\n  a: 3\n", "x: {b: 1,\n a: 1, a: 2}\n"]
)
def test_a_name_that_is_given_twice_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"'a' is given twice, first in line \d\.\nIn: .*c.yaml, line \d"
    ):
        read_yaml(tmp_path / "c.yaml")


def test_merges_of_anchors_are_no_second_giving(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &a {c: 1}\nx: {q: &b {<<: *a, c: 3}}\ny: {<<: *b, c: 4}\n")
    assert read_yaml(tmp_path / "c.yaml") == {"a": {"c": 1}, "x": {"q": {"c": 3}}, "y": {"c": 4}}


def repeated(below, above, place=""):
    """Options of ``above`` with the value that they have in ``below``."""
    for name, value in above.items():
        old = below.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            yield from repeated(old, value, f"{place}.{name}")
        elif name in below and old == value:
            yield f"{place}.{name}"[1:]


def lower_files(file: Path) -> list[Path]:
    """The files that ``builds_on`` names, relative to the file."""
    return [file.parent / name for name in yaml.safe_load(file.read_text()).get("builds_on", [])]


def test_no_configuration_repeats_the_files_that_it_builds_on():
    wrong, checked = [], 0
    for file in sorted(recipes_folder().rglob("*.yaml")):
        own = {k: v for k, v in yaml.safe_load(file.read_text()).items() if k != "builds_on"}
        if lower := lower_files(file):
            checked += 1
            wrong += [f"{file.name}: {name}" for name in repeated(layered(lower), own)]
    assert checked > 40
    assert not wrong, "\n".join(wrong)


def test_no_two_recipes_are_equal():
    """Files with the same content are fine as overlays of different recipes, not as recipes."""
    recipes = sorted((recipes_folder() / "pretraining").rglob("*.yaml"))
    seen = {}
    for file in recipes:
        content = yaml.safe_dump(layered([file]))
        assert content not in seen, f"{file.name} equals {seen[content]}"
        seen[content] = file.name
