"""The command for a GPU, on a CPU at its smallest size: every part ends without error and is in the
file."""

import json

import pytest
import torch

from benchmarks import gpu, gpu_parts
from benchmarks.bars import all_met
from benchmarks.gpu_tables import bars, tables
from semisupcon.commands.pretrain import main as pretrain
from tests.marks import mostly_slow


@pytest.fixture
def in_process(monkeypatch):
    """Commands run in this process, in turn: starting Python and torch again takes longer than they
    do."""

    def run(commands, setting, fine=(0,)):
        said = []
        for command in commands:
            if "pytest" in command:
                said.append("5 skipped\n3 passed, 5 skipped in 0.1s")
            else:
                assert command[1] == "pretrain.py"
                assert pretrain(command[2:]) == 0
                said.append("")
        return said

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(gpu_parts, "side_by_side", run)
    yield
    torch.use_deterministic_algorithms(False)


QUICK = ["steps", "tests"]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("names", mostly_slow([QUICK, list(gpu.PARTS)], [QUICK]), ids=str)
def test_parts_run(tmp_path, capsys, names):
    file = tmp_path / "folder" / "gpu.json"
    small = ["--device", "cpu", "--tiny", "--recipes", "pretrain_smsl", "--only", *names]
    status = gpu.main([*small, "--out", str(file)])
    lines = capsys.readouterr().out.splitlines()
    print("\n".join(lines))
    result = json.loads(file.read_text())
    assert {name: part.get("error") for name, part in result["parts"].items()} == dict.fromkeys(
        names
    )
    assert status == 0
    assert lines[-1].endswith(f"s, {file}")
    assert result["parts"]["tests"]["passed"] == 3
    if "resume" in names:
        assert result["parts"]["resume"]["largest_difference"] == {"pretrain_smsl": 0}
        assert result["parts"]["train"]["steps"] > 0
    assert result["machine"]["torch"] == torch.__version__
    assert all(f"### {name}" in tables(result) for name in names)
    assert "No figures" not in tables(result)
    assert gpu.main(["--table", str(file)]) == 0
    assert "| pretrain_smsl | SampleCNNSmall | 4 x 2 x 1.00 |" in capsys.readouterr().out


def test_a_part_that_fails_is_written_down_and_the_others_run(tmp_path, monkeypatch, capsys):
    def broken(setting):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(gpu, "PARTS", {"steps": broken, "tests": lambda setting: {"passed": 1}})
    file = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--tiny", "--out", str(file)]) == 1
    parts = json.loads(file.read_text())["parts"]
    assert parts["steps"]["error"] == "RuntimeError: no such kernel"
    assert parts["tests"]["passed"] == 1
    out = capsys.readouterr().out
    assert "No figures: RuntimeError: no such kernel" in out
    assert out.splitlines()[-1].endswith("failed: steps")


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "--device cpu --tiny" in capsys.readouterr().err


def test_counts_of_tests_are_read(monkeypatch):
    text = "FAILED tests/devices/a.py::test_b - RuntimeError\n1 failed, 20 passed, 2 errors in 3.1s"
    monkeypatch.setattr(gpu_parts, "side_by_side", lambda *_, **__: [text])
    setting = gpu_parts.Setting("cpu", True, None, 0, 0)
    found = gpu_parts.tests(setting)
    assert (found["passed"], found["failed"]) == (20, 3)
    assert found["error"] == "3 tests failed"
    assert found["broken"] == ["tests/devices/a.py::test_b"]


def test_bars_are_those_of_the_page(capsys):
    steps = [{"recipe": "pretrain_smsl", "share": 0.4}, {"recipe": "cola", "error": "does not fit"}]
    result = {"parts": {"steps": {"rows": steps}, "end_to_end": {"share": {"resident": 0.95}}}}
    assert not all_met(bars(result))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "RESULT recipes_that_fail 1 <=0",
        "RESULT share_of_augmentation/pretrain_smsl 0.4 <=0.15",
        "RESULT share_of_the_step_alone/resident 0.95 >=0.9",
    ]
