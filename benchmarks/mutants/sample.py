"""Draw a seeded sample of mutants from each folder of the package, with the operators of mutmut.

Annotations, decorators, imports, docstrings and other text are not changed. Statements that raise,
log or print are not changed either, nor are the modules of old names. At most one mutant is drawn
per line.
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
        path: path of the file, relative to the repository.
        line: number of the first changed line.
        operator: operator of mutmut.
        source: content of the changed file.
        before, after: changed lines, before and after the change.
    """

    path: str
    line: int
    operator: str
    source: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """Text that identifies the mutant, independent of line numbers."""
        return f"{self.path} | {' '.join(self.before.split())} | {' '.join(self.after.split())}"

    @property
    def folder(self) -> str:
        """Folder of the package to which the file belongs; ``.`` for the top level."""
        return folder_of(self.path)


def folder_of(path: str) -> str:
    """Return the folder of the package to which a file belongs; ``.`` for the top level."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else "."


class Changes(cst.CSTVisitor):
    """Visitor that collects all possible changes of a module: node, changed node, operator."""

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
    """Parse a file, and return its syntax tree and the possible changes by line."""
    wrapper, visitor = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True), Changes()
    wrapper.visit(visitor)
    positions = wrapper.resolve(PositionProvider)
    by_line: dict[int, list[Change]] = {}
    for change in visitor.found:
        if change[0] in positions:
            by_line.setdefault(positions[change[0]].start.line, []).append(change)
    return wrapper.module, by_line


def mutant(path: str, source: str, module: cst.Module, change: Change) -> Mutant | None:
    """Return the mutant with one change; None if its code does not compile."""
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
    """Return the paths of the files that are changed, relative to the repository."""
    skipped = ("old_names.py", "__main__.py")
    return [
        p.relative_to(root).as_posix()
        for p in sorted((root / PACKAGE).rglob("*.py"))
        if p.name not in skipped
    ]


def shares(sizes: Mapping[str, int], count: int, least: int) -> dict[str, int]:
    """Return the number of mutants per folder.

    It is proportional to the size of the folder, but at least ``least`` (or all of a small folder).
    """
    total = max(sum(sizes.values()), 1)
    return {
        folder: min(size, max(least, round(count * size / total))) for folder, size in sizes.items()
    }


def sample(
    root: Path, count: int, seed: int, least: int = 8, only: Sequence[str] = ()
) -> Iterator[Mutant]:
    """Draw mutants of the package with a seed, and yield them file by file.

    Args:
        root: folder of the repository.
        count: approximate number of mutants.
        seed: seed of the draw.
        least: minimum number of mutants per folder.
        only: first parts of paths to include; empty for the whole package.
    """
    files = [path for path in modules(root) if not only or path.startswith(tuple(only))]
    sources = {path: (root / path).read_text() for path in files}
    parsed = {path: changes_of(source) for path, source in sources.items()}
    # Draw lines first, so that lines with many possible changes are not drawn more often.
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
    """Return a pseudo-random text that depends only on the seed and the given texts.

    The draw of a line thus does not change when other lines change.
    """
    return hashlib.blake2b(repr((seed, *what)).encode(), digest_size=8).hexdigest()
