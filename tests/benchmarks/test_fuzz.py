"""The short form of benchmarks/fuzz.py: some damaged files of every kind, each read in the process
that stays alive, or refused."""

import random

import pytest

from benchmarks.fuzz import damage, main
from benchmarks.fuzz_targets import TARGETS


def test_damaged_files_are_read_or_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path))  # Put back afterwards.
    # Whole runs and suites, a second each, are left to the complete form.
    assert main(["--quick", "--check", "--only", "(?!run_|strange_run|results).*"]) == 0, (
        capsys.readouterr().out
    )
    said = capsys.readouterr().out
    assert "died 0 times" in said
    assert said.count(" cases in ") == len(TARGETS) - 4


@pytest.mark.parametrize("text", [True, False])
def test_damage_is_a_function_of_its_seed_and_changes_something(text):
    content = b"path,label\n1.wav,2\n" * 5
    found = [damage(content, random.Random(seed), text) for seed in range(200)]
    assert found == [damage(content, random.Random(seed), text) for seed in range(200)]
    assert content not in found
    assert len(set(found)) > 150


def test_what_goes_wrong_is_told(monkeypatch, tmp_path, capsys):
    from dataclasses import replace

    def read(folder):
        text = (folder / "map.json").read_text()
        if sum(text.encode()) % 3 == 0:
            raise KeyError("spoilt")
        return "same" if sum(text.encode()) % 3 == 1 else text

    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path))
    monkeypatch.setitem(TARGETS, "map", replace(TARGETS["map"], read=read))
    monkeypatch.setitem(
        TARGETS,
        "head",
        replace(TARGETS["head"], read=lambda folder: __import__("os").abort(), cases=2),
    )
    with pytest.raises(SystemExit, match="head: the sound files are not read"):
        main(["--only", "head", "--check"])
    assert main(["--only", "map", "--share", "0.03", "--check"]) == 1
    said = capsys.readouterr().out
    assert "traceback: map.json: KeyError" in said
    assert "changed: map.json" in said
