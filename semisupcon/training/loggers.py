"""The metrics file that every run has, and the logger that the user chose beside it."""

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
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # of wandb
LOGGERS = ("wandb", "tensorboard", "csv", "false")


class MetricsFile(Logger):
    """``metrics.csv``: a row a logged step, a column a metric; a resumed run continues in place, without the rows it will write again.

    Args:
        folder: of the run.
        resumed_step: optimizer step of the checkpoint that is continued; later rows are dropped. None for a new run.
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
        """The configuration is kept in a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write one row; metrics of one step that come in several calls share it."""
        empty = [what for name, what in (("negatives", "negative"), ("loss", "positive")) if metrics.get(name) == 0]
        if empty and not self._warned:
            self._warned = True
            log.warning(
                "No pair of the batch is a %s (step %s), so nothing is learnt from it. Look at the target, the labels and data.batch_size.",
                empty[0],
                step,
            )
        if self._pending and self._pending["step"] != step:
            self.save()
        self._pending = {"step": step} | self._pending | metrics

    @rank_zero_only
    def save(self) -> None:
        """Append what is pending; on a full disk the rows wait for the next call."""
        if self._pending:
            self._rows_to_write.append(self._pending)
            self._pending = {}
        if not self._rows_to_write:
            return
        try:
            self._append()
        except DiskError as error:
            if not self._full:
                log.warning("%s The metrics are kept, and written when there is room.", error)
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
            os.truncate(self.path, before)  # A part of a row would be read as a row.
            raise

    @rank_zero_only
    def settle(self) -> None:
        """Bring all rows so far to the disk (fsync), before a checkpoint that comes after them."""
        self.save()
        if self.path.exists() and not self._full:
            with disk_errors(self.path):
                sync(self.path)

    @rank_zero_only
    def restore(self, row: dict[str, Any]) -> None:
        """Put back the row of a checkpoint's own step, where the run was killed after it had saved and before it wrote the row."""
        self._open()
        if row and not any(int(r["step"]) == row["step"] and all(r.get(c) for c in row) for r in self._rows()):
            self._rows_to_write.append(row)
            self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
        if self._rows_to_write:
            log.warning("%d rows of %s could not be written.", len(self._rows_to_write), self.path)

    def _open(self) -> list[str]:
        rows = self._rows() if self.path.exists() else []
        kept = [r for r in rows if self.resumed_step is not None and int(r["step"]) < self.resumed_step]
        return self._rewrite(list(rows[0]) if rows else ["step", "epoch"], kept)

    def _rows(self) -> list[dict[str, str]]:
        """The rows that are whole. Rows that a crash or a broken disk has cut or spoilt are left out, and that is said."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        header, *lines = (line + "\n" for line in text.split("\n"))
        names = [plain_cell(name) for name in next(csv.reader([header]), [])]
        rows, spoilt = [], [len(lines)] if lines and lines.pop() != "\n" else []  # The file ends within a row.
        if "step" not in names or len(set(names)) < len(names) or "\0" in header:
            log.warning("%s is damaged in its first line; it begins anew.", self.path)
            return []
        for number, line in enumerate(lines, 2):
            values = next(csv.reader([line]), []) if line.strip("\r\n").isprintable() and "\ufffd" not in line else []
            row = dict(zip(names, values, strict=False))
            if len(values) == len(names) and re.fullmatch(r"[0-9]{1,18}", row["step"]):
                rows.append(row)
            else:
                spoilt.append(number)
        if spoilt:
            log.warning("%s: %d damaged rows are left out, the first is line %d.", self.path, len(spoilt), min(spoilt))
        return rows

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> list[str]:
        with atomic_open(self.path, newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writerow(dict(zip(columns, cells(columns), strict=True)))
            writer.writerows(rows)
        self.columns = columns
        return columns


def tell(loggers: Iterable[Logger], config: dict[str, Any], text: str) -> dict[str, Any]:
    """Give wandb the configuration, and TensorBoard its text.

    Returns:
        What the run remembers: ``wandb_id``, or nothing.
    """
    remembered: dict[str, Any] = {}
    for logger in loggers:
        if type(logger).__name__ == "WandbLogger":  # Named, as wandb may not be installed.
            cast("WandbLogger", logger).experiment.config.update(config, allow_val_change=True)
            remembered["wandb_id"] = logger.version
        elif type(logger).__name__ == "TensorBoardLogger":
            cast("TensorBoardLogger", logger).experiment.add_text("run", text)
    return remembered


def _may_log_in() -> bool:
    """Whether wandb needs no login or finds one: offline, a key in the environment, in a settings file or in netrc.

    wandb itself would answer later, after files are written, and remember the answer for the whole process.
    """
    named = ("WANDB_API_KEY", "WANDB_API_KEY_FILE", "WANDB_IDENTITY_TOKEN_FILE")
    if os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun") or any(os.environ.get(name) for name in named):
        return True
    home = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    if (home / "settings").is_file() or Path("wandb/settings").is_file():
        return True
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    files = [Path(place).expanduser() for place in places]
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].partition("/")[0].partition(":")[0]
    return any(host in file.read_text(errors="replace") for file in files if file.is_file())


def make_logger(
    kind: str, run: Run, project: str, resume_id: str | None, group: str | None = None, tags: Sequence[str] = ()
) -> Logger | None:
    """The logger beside the metrics file.

    Args:
        kind: wandb, tensorboard, csv or false; csv and false mean the metrics file alone. ``true`` means wandb.
        run: whose folder is logged to; its stored wandb id is continued.
        project: of wandb.
        resume_id: the wandb run to continue instead.
        group, tags: of the wandb run.

    Raises:
        ConfigError: for another kind.
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
                "WANDB_MODE=offline logs to the run folder; `wandb sync` sends it later."
            )
        identity = resume_id or run.state.get("wandb_id")
        # wandb makes folder names of it, and it may come from the run.json of somebody else.
        if identity is not None and not re.fullmatch(r"[\w-]{1,128}", str(identity)):
            raise ConfigError(f"The wandb run is named by letters, digits, - and _, got {identity!r}.\nGive it with --resume_id.")
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
