"""Which mutants there are, by the operators of mutmut, and a seeded sample of them from every
folder of the package.

Left alone: annotations, decorators, imports, docstrings and other text, what is raised, logged or
printed, and the modules of old names. Of a line one mutant at most is drawn.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

PACKAGE = "semisupcon"
OPERATORS = [
    (kind, operator)
    for kind, operator in mutators.mutation_operators
    if operator is not mutators.operator_string
]
UNTOUCHED = (
    cst.Annotation,
    cst.Decorator,
    cst.Import,
    cst.ImportFrom,
    cst.SimpleString,
    cst.FormattedString,
    cst.Raise,
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: of the file, relative to the repository.
        line: number of the first line that differs.
        operator: of mutmut.
        source: the whole file with the change.
        before, after: the lines that differ.
    """

    path: str
    line: int
    operator: str
    source: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """What names it whatever is written above it in the file."""
        return f"{self.path} | {' '.join(self.before.split())} | {' '.join(self.after.split())}"

    @property
    def folder(self) -> str:
        """The folder of the package that it is counted in; ``.`` for modules beside the folders."""
        return folder_of(self.path)


def folder_of(path: str) -> str:
    """The folder of the package that a file lies in; ``.`` for modules beside the folders."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else "."


class Changes(cst.CSTVisitor):
    """Collects ``(node, changed node, operator)`` of a module."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self):
        super().__init__()
        self.found: list[Change] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, UNTOUCHED) or _logs(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                name = operator.__name__.removeprefix("operator_")
                self.found += [(node, changed, name) for changed in operator(node)]
        return True


def _logs(node: cst.CSTNode) -> bool:
    called = node.func if isinstance(node, cst.Call) else None
    if isinstance(called, cst.Attribute):
        called = called.value
    return isinstance(called, cst.Name) and called.value in ("log", "logging", "print", "warnings")


Change = tuple[cst.CSTNode, cst.CSTNode, str]


def changes_of(source: str) -> tuple[cst.Module, dict[int, list[Change]]]:
    """A file and the changes that begin on each of its lines."""
    wrapper, visitor = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True), Changes()
    wrapper.visit(visitor)
    positions = wrapper.resolve(PositionProvider)
    by_line: dict[int, list[Change]] = {}
    for change in visitor.found:
        if change[0] in positions:
            by_line.setdefault(positions[change[0]].start.line, []).append(change)
    return wrapper.module, by_line


def mutant(path: str, source: str, module: cst.Module, change: Change) -> Mutant | None:
    """The file with one change; None where that does not compile."""
    mutated = module.deep_replace(*change[:2]).code
    try:
        compile(mutated, path, "exec")
    except (SyntaxError, ValueError):
        return None
    old, new = source.splitlines(), mutated.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    if first is None:
        return None
    last = next(i for i in range(len(old)) if old[-1 - i] != new[-1 - i])
    return Mutant(
        path,
        first + 1,
        change[2],
        mutated,
        "\n".join(old[first : len(old) - last]),
        "\n".join(new[first : len(new) - last]),
    )


def modules(root: Path) -> list[str]:
    """The files that are mutated, relative to the repository."""
    skipped = ("old_names.py", "__main__.py")
    return [
        p.relative_to(root).as_posix()
        for p in sorted((root / PACKAGE).rglob("*.py"))
        if p.name not in skipped
    ]


def shares(sizes: Mapping[str, int], count: int, least: int) -> dict[str, int]:
    """How many of ``count`` each folder gives: as its size has it, but at least ``least`` or all
    that it has."""
    total = max(sum(sizes.values()), 1)
    return {
        folder: min(size, max(least, round(count * size / total))) for folder, size in sizes.items()
    }


def sample(
    root: Path, count: int, seed: int, least: int = 8, only: Sequence[str] = ()
) -> Iterator[Mutant]:
    """Mutants of the package, drawn with a seed, file by file.

    Args:
        root: of the repository.
        count: about how many.
        seed: of the draw.
        least: that every folder gives.
        only: beginnings of paths; empty for the whole package.
    """
    files = [path for path in modules(root) if not only or path.startswith(tuple(only))]
    sources = {path: (root / path).read_text() for path in files}
    parsed = {path: changes_of(source) for path, source in sources.items()}
    # Lines are drawn first, so that a long call is no more likely than another line.
    lines: dict[str, list[tuple[str, str, int]]] = {}
    for path, (_, by_line) in parsed.items():
        text = sources[path].splitlines()
        lines.setdefault(folder_of(path), []).extend(
            (draw(seed, path, text[line - 1]), path, line) for line in sorted(by_line)
        )
    given = shares({folder: len(of) for folder, of in lines.items()}, count, least)
    chosen = sorted(
        place[1:] for folder, of in lines.items() for place in sorted(of)[: given[folder]]
    )
    for path, line in chosen:
        module, by_line = parsed[path]
        possible = (mutant(path, sources[path], module, change) for change in by_line[line])
        found = [m for m in possible if m is not None]
        if found:
            yield min(found, key=lambda m: draw(seed, m.key))


def draw(seed: int, *what: str) -> str:
    """A draw that depends on the seed and on what is drawn alone: a line keeps its own while others
    change."""
    return hashlib.blake2b(repr((seed, *what)).encode(), digest_size=8).hexdigest()
