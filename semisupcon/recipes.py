"""Find the YAML configurations (recipes) of the project by name.

An example is ``--config pretrain_ssl --config small/pretrain_ssl``.

The files are in ``config/`` of a clone. An installed package has a copy in ``semisupcon/config``.
"""

from collections.abc import Sequence
from pathlib import Path

from semisupcon.errors import ConfigError, nearest

_PACKAGE = Path(__file__).resolve().parent
SUFFIXES = (".yaml", ".yml")
PRETRAINING = ("pretraining", "overlays")  # folders for `pretrain`, `pack` and `hear`
PROBING = ("probing",)


def recipes_folder() -> Path:
    """Return the folder of recipes of the installed package, or of the clone."""
    installed = _PACKAGE / "config"
    return installed if installed.is_dir() else _PACKAGE.parent / "config"


def recipe_names(folders: Sequence[str]) -> list[str]:
    """Return the names of all recipes in the given folders of ``config/``, such as
    ``mtslvr/bn_simclr``.
    """
    root = recipes_folder()
    files = [
        (root / folder, path) for folder in folders for path in (root / folder).rglob("*.yaml")
    ]
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for folder, path in files)


def find_config(given: str | Path, folders: Sequence[str] = PRETRAINING) -> Path:
    """Return the file for a value of ``--config``, which is a path or the name of a recipe.

    An existing file takes precedence over a recipe. A path ``config/...`` is also found from other
    working directories.

    Args:
        given: value of the option.
        folders: folders of ``config/`` whose recipes may be given by name.

    Raises:
        ConfigError: if the value is neither a file nor the name of a recipe.
    """
    path = Path(given).expanduser()
    if path.is_absolute() or (path.exists() and not path.is_dir()):
        return path
    root = recipes_folder()
    name = Path(*path.parts[1:]) if path.parts[:1] == ("config",) and len(path.parts) > 1 else path
    for folder in ("", *folders):
        for candidate in (root / folder / name, (root / folder / name).with_suffix(".yaml")):
            if candidate.is_file() and candidate.suffix in SUFFIXES:
                return candidate
    if path.suffix in SUFFIXES:
        return path  # The error is reported when the file is read.
    raise ConfigError(
        f"--config {given} is neither a file nor the name of a recipe."
        f"{nearest(str(given), recipe_names(folders))}\nRecipes: "
        f"{', '.join(recipe_names(folders[:1]))}."
    )
