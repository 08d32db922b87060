"""A room may use the rooms below it, never those above (the plan of the house)."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    0: ("errors", "random", "spec", "checkpoints", "distributed", "memory", "plots", "runs", "files", "kinds", "public"),
    1: ("encoders", "frontends", "heads", "augmentations", "losses", "targets", "optimization", "importer", "export", "embedding"),
    2: ("data",),
    3: ("objectives", "probing"),
    4: ("cli", "callbacks", "loggers"),
    5: ("__main__",),
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
GROUND = "semisupcon.data.batch"  # The types that travel everywhere; imports nothing of ours.
LIGHTNING_BELOW = {"data/datamodule.py", "objectives/base.py", "probing/finetune.py"}
HEAVY = {"wandb", "timm", "matplotlib", "pedalboard", "umap"}


def imports(path: Path, top_level_only: bool = False):
    """Modules that a file imports; those inside functions and under TYPE_CHECKING left out on request."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files():
    return [(p.relative_to(ROOT / "semisupcon").as_posix(), p) for p in sorted((ROOT / "semisupcon").rglob("*.py"))]


def room(relative: str) -> str:
    return relative.split("/")[0].removesuffix(".py")


def test_every_room_has_a_floor():
    assert {room(r) for r, _ in files()} - {"__init__"} <= set(FLOOR)


def test_no_room_uses_one_above_it():
    wrong = [
        f"{relative} imports {module}"
        for relative, path in files()
        if room(relative) != "__init__"
        for module in imports(path, top_level_only=True)
        if module.startswith("semisupcon.") and not module.startswith(GROUND)
        if FLOOR.get(module.split(".")[1], 0) > FLOOR[room(relative)]
    ]
    assert not wrong


def test_lightning_stays_on_its_floors():
    wrong = [
        relative
        for relative, path in files()
        if room(relative) != "__init__" and FLOOR[room(relative)] < 4 and relative not in LIGHTNING_BELOW
        for module in imports(path)
        if module.split(".")[0] in ("pytorch_lightning", "lightning")
    ]
    assert not wrong


def test_torch_distributed_has_one_user():
    wrong = [r for r, p in files() for m in imports(p) if m.startswith("torch.distributed") and r != "distributed.py"]
    assert not wrong


def test_heavy_libraries_are_imported_where_they_are_used():
    wrong = [f"{r}: {m}" for r, p in files() for m in imports(p, top_level_only=True) if m.split(".")[0] in HEAVY]
    assert not wrong
