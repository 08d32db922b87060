"""Write ``metrics.csv``, the metrics file of each run, and create the logger of ``--log``."""

import csv
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from semisupcon.errors import ConfigError, DiskError
from semisupcon.files import atomic_open, cells, disk_errors, plain_cell, sync
from semisupcon.training.runs import METRICS, Run

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

log = logging.getLogger(__name__)
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # values of WANDB_MODE
LOGGERS = ("wandb", "tensorboard", "csv", "false")


class MetricsFile(Logger):
    """Logger that writes ``metrics.csv``, with one row per logged step and one column per metric.

    A resumed run continues the file and drops the rows after its checkpoint.

    Args:
        folder: run folder.
        resumed_step: optimizer step of the checkpoint that the run continues; None for a new run.
    """

    def __init__(self, folder: Path, resumed_step: int | None = None):
        super().__init__()
        self.path = folder / METRICS
        self.resumed_step = resumed_step
        self.columns: list[str] | None = None
        self._pending: dict[str, Any] = {}
        self._rows_to_write: list[dict[str, Any]] = []
        self._warned = self._full = False

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def version(self) -> int:
        return 0

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the hyperparameters are in the stored configuration of the run."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of a step. Metrics of another step cause the row to be written."""
        empty = [
            what
            for name, what in (("negatives", "negative"), ("loss", "positive"))
            if metrics.get(name) == 0
        ]
        if empty and not self._warned:
            self._warned = True
            log.warning(
                "The batch has no %s pairs (step %s), so it does not train the model. Check the "
                "target, the labels and data.batch_size.",
                empty[0],
                step,
            )
        if self._pending and self._pending["step"] != step:
            self.save()
        self._pending = {"step": step} | self._pending | metrics

    @rank_zero_only
    def save(self) -> None:
        """Append the pending rows to the file; after a disk error, the next call tries again."""
        if self._pending:
            self._rows_to_write.append(self._pending)
            self._pending = {}
        if not self._rows_to_write:
            return
        try:
            self._append()
        except DiskError as error:
            if not self._full:
                log.warning("%s The metrics are kept and written when there is disk space.", error)
            self._full = True
            return
        self._rows_to_write, self._full = [], False

    def _append(self) -> None:
        columns = self._open() if self.columns is None else self.columns
        names = dict.fromkeys(c for row in self._rows_to_write for c in row)
        if new := [c for c in names if c not in columns]:
            columns = self._rewrite([*columns, *new], self._rows())
        before = self.path.stat().st_size
        try:
            with disk_errors(self.path), self.path.open("a", newline="") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writerows(self._rows_to_write)
        except DiskError:
            os.truncate(self.path, before)  # Remove rows that were written in part.
            raise

    @rank_zero_only
    def settle(self) -> None:
        """Write all rows to disk with fsync; called before a checkpoint is saved."""
        self.save()
        if self.path.exists() and not self._full:
            with disk_errors(self.path):
                sync(self.path)

    @rank_zero_only
    def restore(self, row: dict[str, Any]) -> None:
        """Write the row that a checkpoint stores, if it is missing in the file.

        It is missing if the run was killed after it saved the checkpoint and before it wrote the
        row.
        """
        self._open()
        if row and not any(
            int(r["step"]) == row["step"] and all(r.get(c) for c in row) for r in self._rows()
        ):
            self._rows_to_write.append(row)
            self.save()

    def read(self) -> list[dict[str, str]]:
        """Return all rows of the file. Only the first process has rows."""
        self.save()
        return self._rows()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
        if self._rows_to_write:
            log.warning("%d rows of %s could not be written.", len(self._rows_to_write), self.path)

    def _open(self) -> list[str]:
        rows = self._rows() if self.path.exists() else []
        kept = [
            r for r in rows if self.resumed_step is not None and int(r["step"]) < self.resumed_step
        ]
        return self._rewrite(list(rows[0]) if rows else ["step", "epoch"], kept)

    def _rows(self) -> list[dict[str, str]]:
        """Return the valid rows of the file; incomplete or damaged rows cause a warning."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        header, *lines = (line + "\n" for line in text.split("\n"))
        names = [plain_cell(name) for name in next(csv.reader([header]), [])]
        # A last line without a line break was written in part.
        rows, spoilt = [], [len(lines)] if lines and lines.pop() != "\n" else []
        if "step" not in names or len(set(names)) < len(names) or "\0" in header:
            log.warning(
                "The header of %s is damaged; the file is written again from the start.", self.path
            )
            return []
        for number, line in enumerate(lines, 2):
            values = (
                next(csv.reader([line]), [])
                if line.strip("\r\n").isprintable() and "\ufffd" not in line
                else []
            )
            row = dict(zip(names, values, strict=False))
            if len(values) == len(names) and re.fullmatch(r"[0-9]{1,18}", row["step"]):
                rows.append(row)
            else:
                spoilt.append(number)
        if spoilt:
            log.warning(
                "%s: %d damaged rows are dropped, the first in line %d.",
                self.path,
                len(spoilt),
                min(spoilt),
            )
        return rows

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> list[str]:
        with atomic_open(self.path, newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writerow(dict(zip(columns, cells(columns), strict=True)))
            writer.writerows(rows)
        self.columns = columns
        return columns


def tell(loggers: Iterable[Logger], config: dict[str, Any], text: str) -> dict[str, Any]:
    """Send the configuration of the run to wandb, and as text to TensorBoard.

    Returns:
        ``{"wandb_id": ID}`` to store with the run, or ``{}`` without wandb.
    """
    remembered: dict[str, Any] = {}
    for logger in loggers:
        if type(logger).__name__ == "WandbLogger":  # By name, because wandb may not be installed.
            cast("WandbLogger", logger).experiment.config.update(config, allow_val_change=True)
            remembered["wandb_id"] = logger.version
        elif type(logger).__name__ == "TensorBoardLogger":
            cast("TensorBoardLogger", logger).experiment.add_text("run", text)
    return remembered


def _may_log_in() -> bool:
    """Return whether wandb is offline or finds a login.

    A login is a key in the environment, a settings file or netrc. wandb itself checks for a login
    only after the run has written files, and keeps the result for the whole process.
    """
    named = ("WANDB_API_KEY", "WANDB_API_KEY_FILE", "WANDB_IDENTITY_TOKEN_FILE")
    if os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun") or any(
        os.environ.get(name) for name in named
    ):
        return True
    home = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    if (home / "settings").is_file() or Path("wandb/settings").is_file():
        return True
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    files = [Path(place).expanduser() for place in places]
    host = (
        os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
        .partition("://")[2]
        .partition("/")[0]
        .partition(":")[0]
    )
    return any(host in file.read_text(errors="replace") for file in files if file.is_file())


def make_logger(
    kind: str,
    run: Run,
    project: str,
    resume_id: str | None,
    group: str | None = None,
    tags: Sequence[str] = (),
) -> Logger | None:
    """Create the logger that ``--log`` selects, in addition to the metrics file.

    Args:
        kind: wandb (or true), tensorboard, csv or false. For csv and false, the result is None.
        run: run with the folder for the files, and the ID of the wandb run to continue, if any.
        project: wandb project.
        resume_id: ID of the wandb run to continue instead of the stored one.
        group, tags: group and tags of the wandb run.

    Raises:
        ConfigError: for an unknown kind, wandb without a login, or an invalid wandb mode or ID.
    """
    kind = {"true": "wandb", "none": "false"}.get(str(kind).lower(), str(kind).lower())
    if kind in ("csv", "false"):
        return None
    if kind == "tensorboard":
        return TensorBoardLogger(run.folder, name=None, version="tensorboard")
    if kind == "wandb":
        from pytorch_lightning.loggers import WandbLogger

        mode = os.environ.get("WANDB_MODE") or "online"
        if mode not in MODES:
            raise ConfigError(f"WANDB_MODE is one of {', '.join(MODES)}, got '{mode}'.")
        if not _may_log_in():
            raise ConfigError(
                "--log wandb needs a login: run `wandb login`, or set WANDB_API_KEY.\n"
                "WANDB_MODE=offline logs to the run folder; `wandb sync` uploads it later."
            )
        identity = resume_id or run.state.get("wandb_id")
        # Check the ID: run.json may be untrusted, and wandb uses the ID in folder names.
        if identity is not None and not re.fullmatch(r"[\w-]{1,128}", str(identity)):
            raise ConfigError(
                f"The ID of a wandb run has letters, digits, - and _ only, got {identity!r}.\nGive "
                "it with --resume_id."
            )
        return WandbLogger(
            name=run.folder.name,
            project=project,
            save_dir=run.folder,
            id=identity,
            resume="allow" if identity else None,
            log_model=False,
            group=group,
            tags=list(tags) or None,
        )
    raise ConfigError(f"--log takes {', '.join(LOGGERS)} or true, got '{kind}'")
