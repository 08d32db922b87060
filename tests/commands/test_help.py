"""``semisupcon COMMAND --help``: its name, and a text for every option and argument."""

import re

import pytest

from semisupcon.__main__ import COMMANDS, main

# These have a help of jsonargparse, which takes the texts from docstrings.
FROM_DOCSTRINGS = {"pretrain", "probe", "pack", "hear"}
ARGPARSE = [(name,) for name in COMMANDS if name not in (*FROM_DOCSTRINGS, "data")]
ARGPARSE += [("data", "check"), ("data", "download")]


@pytest.mark.parametrize("command", ARGPARSE, ids=" ".join)
def test_every_option_has_a_text(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: semisupcon {' '.join(command)} ")
    found = 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not re.match(r"  (-|[a-z_]+( |$))", line):
            continue
        found += 1
        beside = re.match(r"  \S.*?\S {2,}\S", line)
        assert beside or re.match(r" {6,}\S", following), line
    assert found >= 3


def test_data_names_its_commands(capsys):
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    text = capsys.readouterr().out
    assert text.startswith("usage: semisupcon data ")
    for command in ("list", "check", "download"):
        assert re.search(rf"^ +{command} +\S", text, re.MULTILINE)
