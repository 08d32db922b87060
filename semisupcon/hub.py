"""Models on the Hugging Face hub: ``hf://user/name`` or ``hf://user/name@revision``.

Only files with the fixed names of an exported folder are read and written. Files from the hub are
data of a stranger: their sizes are checked before the download, and they are loaded under the
rules of docs/security.md. The token is the one that huggingface_hub finds (``hf auth login`` or
``HF_TOKEN``); it is never printed.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisupcon.errors import CheckpointError, ConfigError, UserError, first_line
from semisupcon.files import amount_of

PREFIX = "hf://"
# Files of an exported folder. The record describes the pretraining audio; it also stands in runs.
CONFIG, WEIGHTS, HEAD, CARD = "config.json", "model.safetensors", "head.safetensors", "README.md"
RECORD = "pretraining_audio.npz"
# File that is read -> largest size in bytes. The first two are needed.
SIZES = {CONFIG: 1 << 20, WEIGHTS: 10 << 30, HEAD: 1 << 30, RECORD: 1 << 30}
LOGIN = "Log in with `hf auth login`, or set HF_TOKEN."
_NAME = r"[A-Za-z0-9][\w.-]{0,95}"
_ADDRESS = re.compile(rf"hf://({_NAME}/{_NAME})(?:@([\w][\w./-]*))?", re.ASCII)
_REPO = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A model on the hub: ``repo`` is ``user/name``; ``revision`` is a branch, tag or commit."""

    repo: str
    revision: str | None = None


def is_hub(path: str | Path) -> bool:
    """Return whether a text is the address of a model on the hub."""
    return str(path).startswith(PREFIX)


def address_of(text: str) -> Address:
    """Read an address.

    Raises:
        ConfigError: for a text that is not of the form ``hf://user/name[@revision]``.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or ".." in text:
        raise ConfigError(
            f"'{text}' is not the address of a model.\nWrite hf://user/name or "
            "hf://user/name@revision."
        )
    return Address(found[1], found[2])


def check_repo(name: str) -> None:
    """Check the name of a repository.

    Raises:
        ConfigError: for a name that is not of the form ``user/name``.
    """
    if not _REPO.fullmatch(name) or ".." in name:
        raise ConfigError(f"--repo takes user/name, got '{name}'.")


def local(path: str | Path) -> str | Path:
    """Return the folder of a model on the hub, downloaded if needed; other paths unchanged.

    Raises:
        UserError: see `fetch`.
    """
    return fetch(str(path)) if is_hub(path) else path


def fetch(text: str) -> Path:
    """Download the files of a model that are not in the cache of huggingface_hub.

    All files are of one commit. The weights are downloaded only if ``config.json`` is one of
    semisupcon.

    Args:
        text: the address.

    Returns:
        The folder with the files, in the cache.

    Raises:
        CheckpointError: if the model has no encoder of semisupcon, or a file is too large.
        UserError: if the model does not exist or cannot be reached, or the package is missing.
    """
    address = address_of(text)
    config = _download(address, CONFIG)
    assert config is not None  # a missing file that is needed raises an error
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {"encoder", "format"} <= content.keys():
        raise CheckpointError(
            f"{text} holds no encoder of semisupcon: its {CONFIG} describes another model.\n"
            "Its weights were not downloaded."
        )
    # The folder is named by the commit.
    fixed = Address(address.repo, config.parent.name)
    for name in (WEIGHTS, *(n for n in SIZES if n not in (CONFIG, WEIGHTS))):
        _download(fixed, name, needed=name == WEIGHTS)
    return config.parent


def _download(address: Address, name: str, needed: bool = True) -> Path | None:
    """Return a file of a model, downloaded if needed; None for a missing file that is not needed.

    Raises:
        UserError: see `fetch`.
    """
    hub = library()
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    how: dict[str, Any] = {"revision": address.revision, "endpoint": endpoint()}
    how |= {"library_name": "semisupcon", "repo_type": "model"}
    with sentences(address, name):
        try:
            found = hub.hf_hub_download(address.repo, name, dry_run=True, **how)
            if found.file_size > SIZES[name]:
                raise CheckpointError(
                    f"{name} of {address.repo} has {amount_of(found.file_size)}; at most "
                    f"{amount_of(SIZES[name])} are read. It was not downloaded."
                )
            return Path(hub.hf_hub_download(address.repo, name, **how))
        except EntryNotFoundError as error:
            # Without connection, a file that is not needed and not in the cache counts as missing.
            if needed or (isinstance(error, LocalEntryNotFoundError) and not offline()):
                raise
            return None


def library() -> Any:
    """Import huggingface_hub.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise UserError(
            "Models on the hub need the package huggingface_hub, which is not installed.\n"
            "pip install huggingface_hub"
        ) from error
    return huggingface_hub


def endpoint() -> str | None:
    """Return the address of the hub, if HF_ENDPOINT sets it."""
    return os.environ.get("HF_ENDPOINT") or None


def offline() -> bool:
    """Return whether huggingface_hub must not use the network (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@contextmanager
def sentences(address: Address, name: str = "", writing: bool = False) -> Iterator[None]:
    """Convert the errors of huggingface_hub in a ``with`` block.

    Args:
        address: the model.
        name: file that is read.
        writing: whether the block writes.

    Raises:
        UserError: with a sentence for the user.
    """
    # Its logger tells of each repetition; what counts is how it ends.
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(_sentence(error, address, name, writing)) from error
    finally:
        logger.setLevel(level)


def _sentence(error: Exception, address: Address, name: str, writing: bool) -> str:
    from huggingface_hub import errors

    repo, where = address.repo, endpoint() or "https://huggingface.co"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision '{address.revision}'."
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is open only to users who accept its terms, at {where}/{repo}.\n{LOGIN}"
    if isinstance(error, errors.RepositoryNotFoundError) or (status == 401 and not writing):
        return f"There is no model {repo} at {where}, or it is private.\n{LOGIN}"
    if isinstance(error, errors.OfflineModeIsEnabled) or (
        isinstance(error, errors.LocalEntryNotFoundError) and offline()
    ):
        return (
            f"HF_HUB_OFFLINE is set, and {name or repo} of {repo} is not in the cache.\n"
            "Unset it to download the model."
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"{where} cannot be reached, and {name} of {repo} is not in the cache."
    if isinstance(error, errors.EntryNotFoundError) and not writing:
        return f"{repo} has no {name}, so it is no exported folder of semisupcon."
    if status in (401, 403):
        return f"You may not write to {repo}: {where} refuses your login.\n{LOGIN}"
    if any(words in str(error) for words in ("Consistency check", "complete message body")):
        return f"The download of {name} of {repo} was cut short. Repeat the command."
    said = f"{type(error).__name__}: {first_line(error, 160)}"
    return f"{where} cannot be used for {repo}: {said}"
