"""No module writes files by itself: all use `semisupcon.files`, so that every file appears
whole."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Files that grow or that a child process writes into, and folders that are renamed as a whole.
APART = {
    "files.py": {
        "open",
        "replace",
    },  # `atomic_open`, and one more write to learn why another failed
    "outputs.py": {"open"},  # one write to learn whether a file can be written
    "training/loggers.py": {"open"},  # metrics.csv grows by rows
    "data/packed/shards.py": {"open"},  # reserves a shard
    "datasets/care/download.py": {"open"},  # an archive that is resumed
    "datasets/synthesis/__init__.py": {"replace", "rename", "to_csv", "soundfile.write"},
    "plots/saving.py": {"savefig"},  # into memory
    "retrieval/map/previews.py": {"soundfile.write"},  # into memory
    "audio/scan.py": {"fdopen"},  # the terminal
}
WRITES = {
    "write_text",
    "write_bytes",
    "to_parquet",
    "to_csv",
    "to_json",
    "save_file",
    "savez",
    "rename",
    "mkstemp",
    "NamedTemporaryFile",
}


def test_nothing_else_writes_files():
    wrong = []
    for path in sorted((ROOT / "semisupcon").rglob("*.py")):
        name = path.relative_to(ROOT / "semisupcon").as_posix()
        for call in (
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ):
            if (found := writes(call)) and found not in APART.get(name, ()):
                wrong.append(f"{name}:{call.lineno} {ast.unparse(call)[:80]}")
    assert not wrong, "\n" + "\n".join(wrong)


def writes(call):
    """The name of a call that writes a file or renames one; None for others."""
    method = (
        call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    )
    arguments = [
        *map(ast.unparse, call.args),
        *(ast.unparse(keyword.value) for keyword in call.keywords),
    ]
    to_partial = any(text in ("partial", "file") for text in arguments)
    if method in ("open", "fdopen"):
        modes = [
            a.value
            for a in ast.walk(call)
            if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        return (
            method
            if any(mode in ("w", "wb", "a", "ab", "x", "xb", "r+", "r+b") for mode in modes)
            else None
        )
    if method == "replace":  # of strings and dataclasses: two arguments or keywords
        of_path = len(call.args) == 1 and not call.keywords
        return (
            method
            if isinstance(call.func, ast.Attribute)
            and (of_path or ast.unparse(call.func.value) == "os")
            else None
        )
    if ast.unparse(call.func) in ("np.save", "np.savez", "torch.save"):
        return None if to_partial else method
    if ast.unparse(call.func) in ("soundfile.write", "sf.write"):
        return None if to_partial else ast.unparse(call.func)
    if method in ("savefig", "copyfile", "copy2", "copytree", "move", "tofile", "savetxt"):
        return None if to_partial else method
    if method == "to_csv" and not call.args:  # gives text
        return None
    is_function_of_ours = isinstance(call.func, ast.Name) and method == "write_text"
    return method if method in WRITES and not to_partial and not is_function_of_ours else None
