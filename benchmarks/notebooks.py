"""Execute the notebooks of docs/notebooks, store their outputs, and measure the time of each.

Each notebook runs in its own kernel and in an empty folder. ``python -m benchmarks.notebooks``
writes the executed notebooks into docs/notebooks. Progress messages (standard error) are not
stored, and neither are times, so a second execution on the same machine gives the same files.
``--data DIR`` is the folder that holds fsdd/, for the second notebook. ``--check`` exits with 1
above the limit.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bars import Bar, all_met
from benchmarks.recipes import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))
LIMIT = 180.0  # seconds on two cores
DATA = "SEMISUPCON_NOTEBOOK_DATA"


def executed(path: Path, data: Path | None = None) -> tuple[Any, float, list[str]]:
    """Execute a notebook and return it with outputs, its time in seconds, and its warnings.

    Args:
        path: the notebook.
        data: folder of data sets that the notebook may read; None for no such folder.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails. The message has its traceback.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, path.stem)
        work.mkdir()
        env = {k: value for k, value in os.environ.items() if k not in (DATA, "MPLBACKEND")}
        env |= {"IPYTHONDIR": str(Path(folder, "ipython"))}
        env |= {} if data is None else {DATA: str(data.absolute())}
        client = NotebookClient(
            notebook,
            timeout=1800,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(work)}},
        )
        began = time.perf_counter()
        client.execute(env=env)
        seconds = time.perf_counter() - began
    said = [
        line
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.get("name") == "stderr"
        for line in output["text"].splitlines()
        if "warning" in line.lower()
    ]
    return tidy(notebook), seconds, said


def tidy(notebook: Any) -> Any:
    """Return the notebook without standard error and without metadata of the machine."""
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main(args: list[str] | None = None) -> int:
    """Execute the notebooks and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of executed notebooks")
    parser.add_argument("--data", type=Path, help="folder that holds fsdd/")
    parser.add_argument("--check", action="store_true", help="exit with 1 above the limit")
    options = parser.parse_args(args)
    import nbformat

    bars = []
    for name in options.only:
        notebook, seconds, warnings = executed(FOLDER / f"{name}.ipynb", options.data)
        for warning in dict.fromkeys(warnings):
            print(f"{name}: {warning}", file=sys.stderr)
        options.out.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, options.out / f"{name}.ipynb")
        bars.append(Bar(f"{name}_seconds", seconds, LIMIT, "<="))
        print(f"{name}: {seconds:.0f} s", flush=True)
    return 0 if all_met(bars) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
