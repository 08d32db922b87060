"""``semisupcon push FOLDER --repo user/name``: upload an exported folder to the Hugging Face hub.

The login is that of huggingface_hub (`hf auth login`, or the variable HF_TOKEN).
"""

import sys
from pathlib import Path
from typing import Any

from semisupcon import hub
from semisupcon.commands.parsing.parser import Parser
from semisupcon.errors import ConfigError, UserError
from semisupcon.files import amount_of

# What is uploaded if it is there; nothing else in the folder is.
FILES = (
    *(hub.CONFIG, hub.WEIGHTS, hub.CARD, hub.HEAD),
    *("model.onnx", "model.onnx.json", "model.pt2", "model.pt2.json"),
)


def parser() -> Parser:
    """Return the argument parser of ``semisupcon push``."""
    p = Parser(prog="semisupcon push", description=__doc__)
    p.add_argument("folder", type=Path, help="exported folder")
    p.add_argument("--repo", required=True, help="user/name of the model; created if needed")
    p.add_argument("--private", action="store_true", help="make a new model private")
    p.add_argument("--revision", help="branch; default: main")
    p.add_argument("--message", default="Upload with semisupcon", help="message of the commit")
    p.add_argument(
        "--with_record",
        action="store_true",
        help=f"also upload {hub.RECORD}, the fingerprints of the training audio",
    )
    p.add_argument("--dry_run", action="store_true", help="list the files, and upload nothing")
    return p


def main(args: list[str] | None = None) -> int:
    """Upload a folder and return the exit status."""
    given = parser().parse_args(args)
    hub.check_repo(given.repo)
    files = files_in(given.folder, given.with_record)
    for file in files:
        print(f"{amount_of(file.stat().st_size):>10}  {file.name}")
    if given.dry_run:
        print("Nothing was uploaded.")
        return 0
    url = upload(given, [file.name for file in files])
    print(f"Uploaded {len(files)} files: {url}")
    return 0


def files_in(folder: Path, record: bool) -> list[Path]:
    """Return the files of an exported folder that are uploaded.

    Raises:
        UserError: if the folder is not a complete export, or has no model card.
    """
    from semisupcon.checkpoints import read_exported

    if not (folder / hub.CONFIG).is_file():
        raise UserError(
            f"{folder} is no exported folder: it has no {hub.CONFIG}.\nWrite one with semisupcon "
            "export."
        )
    read_exported(folder)
    if not (folder / hub.CARD).is_file():
        raise UserError(
            f"{folder} has no {hub.CARD}. A model on the hub needs a model card, which semisupcon "
            "export writes."
        )
    if record and not (folder / hub.RECORD).is_file():
        raise ConfigError(f"--with_record: {folder} has no {hub.RECORD}.")
    names = (*FILES, hub.RECORD) if record else FILES
    return [folder / name for name in names if (folder / name).is_file()]


def upload(given: Any, names: list[str]) -> str:
    """Upload files in one commit, and return the address of the model.

    Raises:
        UserError: without login or connection, or if a model that must be private is public.
    """
    library = hub.library()
    if hub.offline():
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it.")
    if library.get_token() is None:
        raise UserError(f"You are not logged in to the Hugging Face hub.\n{hub.LOGIN}")
    api = library.HfApi(endpoint=hub.endpoint(), library_name="semisupcon")
    address = hub.Address(given.repo, given.revision)
    with hub.sentences(address, writing=True):
        url = api.create_repo(given.repo, private=given.private or None, exist_ok=True)
        if given.private and not api.model_info(given.repo).private:
            raise UserError(
                f"{given.repo} exists and is public, so --private cannot be kept. Nothing was "
                "uploaded."
            )
        print("Uploading ...", file=sys.stderr)
        api.upload_folder(
            repo_id=given.repo,
            folder_path=given.folder,
            allow_patterns=names,
            commit_message=given.message,
            revision=given.revision,
        )
    return str(url)
