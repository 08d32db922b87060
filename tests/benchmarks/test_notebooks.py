"""The notebooks of docs/notebooks are whole, use public names, and run from top to bottom."""

import ast
import importlib
import json
import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

from benchmarks import notebooks

ROOT = notebooks.ROOT
FILES = [notebooks.FOLDER / f"{name}.ipynb" for name in notebooks.NAMES]
LARGEST = 400_000  # bytes
MACHINE = re.compile(r"/(?:tmp|home|root|work|Users|usr|opt|var)/|site-packages")
WRITES = re.compile(r"%%writefile (mine/\w+\.py)\n")


def cells(path: Path) -> list[str]:
    """Source of the code cells, without the line that writes the cell to a file."""
    found = nbformat.read(path, as_version=4).cells
    return [WRITES.sub("", cell.source, count=1) for cell in found if cell.cell_type == "code"]


def public_modules() -> set[str]:
    """Modules that the API reference lists, or that docs/extending.md imports from."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    extending = (ROOT / "docs" / "extending.md").read_text()
    found = {*re.findall(r"^::: (\S+)", pages, re.M)}
    found |= {*re.findall(r"^from (semisupcon\S*) import", extending, re.M)}
    return found | {name.rpartition(".")[0] for name in found}


def outputs(path: Path) -> str:
    """Text of all outputs of an executed notebook."""
    found = nbformat.read(path, as_version=4).cells
    given = [out for cell in found for out in cell.get("outputs", ())]
    return "\n".join(
        out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in given
    )


def test_there_are_five():
    assert len(FILES) == 5
    page = (ROOT / "docs" / "notebooks.md").read_text()
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in FILES:
        assert f"notebooks/{path.name})" in page
        assert f"notebooks/{path.stem}.md" in navigation


@pytest.mark.parametrize("path", FILES, ids=notebooks.NAMES)
def test_it_is_whole(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].source.startswith("# ")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    given = [out for cell in code for out in cell.outputs]
    assert all(out.output_type != "error" and out.get("name") != "stderr" for out in given)
    assert path.stat().st_size < LARGEST
    assert not (found := MACHINE.search(path.read_text())), found


@pytest.mark.parametrize("path", FILES, ids=notebooks.NAMES)
def test_its_code_uses_public_names(path):
    public = public_modules()
    for source in cells(path):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("semisupcon.") for name in node.names)
            if isinstance(node, ast.ImportFrom) and node.module.startswith("semisupcon"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert node.module in public, node.module
                    assert alias.name in getattr(module, "__all__", vars(module)), alias.name
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "semisupcon":
                assert node.attr in importlib.import_module("semisupcon").__all__


@pytest.mark.parametrize("path", FILES, ids=notebooks.NAMES)
def test_its_links_lead_to_files(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", cell.source):
                assert "://" in target or (path.parent / target).exists(), target


def test_standard_error_is_not_stored():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    for name in ("stderr", "stdout"):
        notebook.cells[0].outputs.append(nbformat.v4.new_output("stream", name=name, text=name))
    notebook.cells[0].metadata["execution"] = {"began": "today"}
    found = notebooks.tidy(notebook)
    assert [out.name for out in found.cells[0].outputs] == ["stdout"]
    assert not found.cells[0].metadata


def test_an_unknown_notebook_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        notebooks.main(["--only", "6_none"])
    assert ended.value.code == 2
    assert "6_none" in capsys.readouterr().err


def numbers(pattern: str, text: str) -> list[float]:
    """Groups of the only match of a pattern, as numbers."""
    (found,) = re.finditer(pattern, text)
    return [float(value) for value in found.groups()]


NUMBER = r"(-?[\d.]+)"


@pytest.fixture
def run(tmp_path, capsys):
    """Execute a notebook and return the text of its outputs."""
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        pytest.skip("needs the packages of requirements-slow.txt: make test-slow")

    def go(name: str, *more: str) -> str:
        assert notebooks.main(["--only", name, "--out", str(tmp_path), *more]) == 0
        assert re.search(rf"RESULT {name}_seconds \S+ <=180", capsys.readouterr().out)
        before = json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text())
        after = json.loads((tmp_path / f"{name}.ipynb").read_text())
        assert [c["source"] for c in before["cells"]] == [c["source"] for c in after["cells"]]
        return outputs(tmp_path / f"{name}.ipynb")

    return go


@pytest.mark.slow
def test_contrastive_music(run):
    text = run("1_contrastive_music")
    # 150 steps change less than the interval, so that a machine decides what is larger.
    found = numbers(f"pretrained {NUMBER}, untrained {NUMBER}, mfcc {NUMBER}", text)
    assert min(found) > 0.2  # ten instruments
    by_hand, ours = numbers(f"by hand {NUMBER}, contrastive_loss {NUMBER}", text)
    assert by_hand == pytest.approx(ours, abs=1e-6)


@pytest.mark.slow
def test_waveform_and_spectrogram_of_digits(run, shared):
    text = run("2_waveform_spectrogram", "--data", str(shared("data/fsdd").parent))
    trained, untrained = numbers(f"fsdd_digit: both formats {NUMBER}, untrained {NUMBER}", text)
    assert trained > untrained
    (speakers,) = numbers(f"nearest neighbour of the same fsdd_speaker: {NUMBER}", text)
    assert speakers > 0.7  # six speakers


@pytest.mark.slow
def test_waveform_and_spectrogram_of_the_embedded_set(run):
    text = run("2_waveform_spectrogram")
    assert "Embedded set" in text
    (same,) = numbers(f"nearest neighbour of the same synthetic_instrument: {NUMBER}", text)
    assert same > 0.2  # ten instruments


@pytest.mark.slow
def test_few_labels(run):
    text = run("3_few_labels")
    line = f"{{}} %: probe only {NUMBER}, pretraining too {NUMBER}, untrained {NUMBER}"
    few, many = (numbers(rf"\b{line.format(share)}", text) for share in (5, 100))
    assert all(a < b for a, b in zip(few, many, strict=True))  # labels help
    assert min(many) > 0.2  # ten instruments


@pytest.mark.slow
def test_your_audio(run):
    text = run("4_your_audio")
    tagged, chance = numbers(f"tagged {NUMBER}, chance {NUMBER}, same label in ONNX: True", text)
    assert tagged > 2 * chance
    (difference,) = numbers(r"largest relative difference from PyTorch ([\d.e-]+)", text)
    assert difference <= 1e-5


@pytest.mark.slow
def test_your_parts(run):
    text = run("5_your_parts")
    octaves, vicreg, _ = numbers(f"octaves {NUMBER}, vicreg {NUMBER}, untrained {NUMBER}", text)
    assert min(octaves, vicreg) > 2 / 6  # six notes
    (above, _) = numbers(f"octave above other notes: octaves {NUMBER}, vicreg {NUMBER}", text)
    assert above > 0
    assert "--trust" in text  # the message of a checkpoint with a class of your own
