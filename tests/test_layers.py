"""A module imports from its own layer and the layers below it, and imports form no circle.

All imports of all files count: those inside functions and under TYPE_CHECKING too. A new file or
folder needs a place in `LAYERS`.
"""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "semisupcon"
# The longest prefix of a path decides.
LAYERS = {
    7: ("__init__.py", "__main__.py", "commands/"),
    6: ("training/",),
    5: (
        "adapters/",
        "objectives/",
        "probing/",
        "labelling/",
        "retrieval/",
        "importer/",
        "exporter/",
    ),
    4: ("encoders/", "data/"),
    3: (
        "augmentations/",
        "frontends/",
        "datasets/",
        "heads.py",
        "targets.py",
        "checkpoints.py",
        "embedding/",
    ),
    2: ("audio/", "hub.py", "torch_files.py", "spec.py", "public.py", "old_names.py"),
    1: (
        "batch.py",
        "batch_norm.py",
        "configuration.py",
        "outputs.py",
        "recipes.py",
        "losses/",
        "random.py",
        "distributed.py",
        "digests.py",
        "files.py",
        "paths.py",
        "locks.py",
        "kinds.py",
        "plots/",
        "errors.py",
        "memory.py",
        "versions.py",
        "written.py",
    ),
}
LAYER = {prefix: layer for layer, prefixes in LAYERS.items() for prefix in prefixes}
LIGHTNING = ("training/", "commands/", "data/datamodule.py", "probing/methods/finetune.py")
HEAVY = {
    "wandb",
    "timm",
    "matplotlib",
    "pedalboard",
    "umap",
    "litdata",
    "faiss",
    "datasets",
    "mteb",
}
FILES_IN_A_FOLDER = 30
SHARE_OF_A_FOLDER = 0.12
MEDIAN_LINES, MOST_LINES = 150, 300
LONGEST_LINE, SHARE_OF_LONG_LINES = 100, 0.005

FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def layer(name: str) -> int | None:
    """The layer of a file; None for one without."""
    fitting = [
        prefix
        for prefix in LAYER
        if name == prefix or (prefix.endswith("/") and name.startswith(prefix))
    ]
    return LAYER[max(fitting, key=len)] if fitting else None


def runs_later(node: ast.AST) -> bool:
    """Whether the import of a module leaves out what is inside: functions, and blocks for the type
    checker."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
        isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )


def imports(name: str, on_import_only: bool = False) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name of every import of a file; the name is None for ``import module``."""
    nodes = list(ast.walk(TREES[name]))
    if on_import_only:
        hidden = {id(inner) for node in nodes if runs_later(node) for inner in ast.walk(node)}
        nodes = [node for node in nodes if id(node) not in hidden]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} is a relative import"
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def file_of(module: str) -> str | None:
    """The file of a module of ours; None for any other."""
    if module.split(".")[0] != PACKAGE.name:
        return None
    inside = "/".join(module.split(".")[1:])
    return next(
        (name for name in (f"{inside}.py", f"{inside}/__init__.py".lstrip("/")) if name in FILES),
        None,
    )


def edges(name: str) -> Iterator[tuple[int, str]]:
    """Line and file of every import of ours: the file of ``X.Y`` for ``from X import Y`` where that
    is a module, else that of ``X``."""
    for line, module, imported in imports(name):
        if module.split(".")[0] == PACKAGE.name:
            found = (imported and file_of(f"{module}.{imported}")) or file_of(module)
            assert found, f"{name}:{line} imports {module}, which is no file"
            yield line, found


GRAPH = {
    name: list(dict.fromkeys(edges(name))) for name in FILES
}  # One edge a line, however many names it imports.


def circles() -> list[list[str]]:
    """Groups of files that import one another (strongly connected components, Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for _, other in GRAPH[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in [other for _, other in GRAPH[name]]:
                found.append(sorted(group))

    for name in GRAPH:
        if name not in index:
            visit(name)
    return found


def lines(name: str) -> int:
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def among(name: str, places: tuple[str, ...]) -> bool:
    return any(
        name == place or (place.endswith("/") and name.startswith(place)) for place in places
    )


def report(wrong: list[str]) -> str:
    return "\n" + "\n".join(wrong)


def test_every_file_has_a_layer():
    wrong = [name for name in FILES if layer(name) is None]
    assert not wrong, report(wrong)
    wrong = [
        prefix
        for prefix in LAYER
        if prefix.endswith("/") and not any(name.startswith(prefix) for name in FILES)
    ]
    assert not wrong, report(wrong)


def test_no_module_imports_from_a_layer_above():
    wrong = [
        f"{name}:{line} (layer {layer(name)}) imports {other} (layer {layer(other)})"
        for name in FILES
        for line, other in GRAPH[name]
        if layer(other) > layer(name)
    ]
    assert not wrong, report(wrong)


def test_imports_form_no_circle():
    wrong = []
    for group in circles():
        inside = [
            f"  {name}:{line} imports {other}"
            for name in group
            for line, other in GRAPH[name]
            if other in group
        ]
        wrong += [f"A circle of {len(group)} files:", *inside]
    assert not wrong, report(wrong)


def test_lightning_is_imported_where_training_is():
    wrong = [
        f"{name}:{line} imports {module}"
        for name in FILES
        for line, module, _ in imports(name)
        if module.split(".")[0] in ("pytorch_lightning", "lightning") and not among(name, LIGHTNING)
    ]
    assert not wrong, report(wrong)


def test_torch_distributed_has_one_user():
    wrong = [
        f"{name}:{line} imports torch.distributed"
        for name in FILES
        for line, module, imported in imports(name)
        if f"{module}.{imported}.".startswith("torch.distributed.") and name != "distributed.py"
    ]
    assert not wrong, report(wrong)


def test_heavy_libraries_are_imported_where_they_are_used():
    wrong = [
        f"{name}:{line} imports {module}"
        for name in FILES
        for line, module, _ in imports(name, on_import_only=True)
        if module.split(".")[0] in HEAVY
    ]
    assert not wrong, report(wrong)


def test_folders_are_small():
    total = sum(lines(name) for name in FILES)
    wrong = []
    for folder in sorted({Path(name).parent for name in FILES}):
        inside = [name for name in FILES if Path(name).parent == folder]
        share = sum(lines(name) for name in inside) / total
        if len(inside) > FILES_IN_A_FOLDER:
            wrong.append(
                f"semisupcon/{folder.as_posix()} holds {len(inside)} files; {FILES_IN_A_FOLDER} at "
                "most"
            )
        if share > SHARE_OF_A_FOLDER:
            wrong.append(
                f"semisupcon/{folder.as_posix()} holds {share:.1%} of all lines; "
                f"{SHARE_OF_A_FOLDER:.0%} at most"
            )
    assert not wrong, report(wrong)


def test_files_are_short():
    length = {name: lines(name) for name in FILES}
    wrong = [
        f"{name} has {n} lines; below {MOST_LINES} are allowed"
        for name, n in length.items()
        if n >= MOST_LINES
    ]
    if (median := statistics.median(length.values())) >= MEDIAN_LINES:
        wrong.append(f"the median file has {median} lines; below {MEDIAN_LINES} are allowed")
    assert not wrong, report(wrong)


def test_few_lines_are_long():
    text = [
        line
        for folder in ("semisupcon", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    long = [line for line in text if len(line) > LONGEST_LINE]
    assert len(long) < SHARE_OF_LONG_LINES * len(text), report(long)
