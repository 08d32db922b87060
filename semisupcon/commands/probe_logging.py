"""Send results of `probe` to wandb, TensorBoard and other Lightning loggers: scores, the result
table and the figures.

The name of a score is ``task/method/encoder/metric``. The file ``wandb.json`` in the output folder
stores the ID of the wandb run, so that a repeated command continues this run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semisupcon.errors import UserError, first_line
from semisupcon.files import write_text
from semisupcon.probing.report.page import read_rows
from semisupcon.probing.report.pictures import pictures_of, robustness_pictures
from semisupcon.probing.report.table import HEADER, cells, markdown
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import Line, summarise

REMEMBERED = "wandb.json"


class ProbeLoggers:
    """The loggers of a `probe` command.

    Args:
        options: parsed options. ``log``, ``project``, ``group`` and ``tags`` configure the logger;
            ``out`` is the output folder.
        loggers: further Lightning loggers.

    Raises:
        ConfigError: for an unknown kind of logger, or for wandb without a login. Nothing is written
            or sent before this check.
    """

    def __init__(self, options: Any, loggers: Sequence[Any] = ()):
        self.out, self.loggers = Path(options.out), list(loggers)
        self.options = {k: v for k, v in options.as_dict().items() if k not in ("logger", "config")}
        if str(options.log).lower() not in ("csv", "false", "none"):
            from semisupcon.training.loggers import make_logger
            from semisupcon.training.runs import Run

            file = self.out / REMEMBERED
            state = json.loads(file.read_text()) if file.is_file() else {}
            run = Run(self.out, None, state)
            logger = make_logger(
                options.log, run, options.project, None, options.group, options.tags
            )
            self.loggers.insert(0, logger)

    def log(self, rows: Sequence[Row], resamples: int) -> None:
        """Send scores, table and figures to all loggers.

        Args:
            rows: results of all probes. The result files in ``out`` must be complete.
            resamples: number of bootstrap resamples for the confidence intervals.

        Raises:
            UserError: if a logger fails for any reason.
        """
        if not self.loggers:
            return
        lines, comparisons = summarise(rows, self.out, resamples)
        drawn = [
            picture
            for task in dict.fromkeys(r.task for r in rows)
            for picture in pictures_of(task, of_task(rows, task), self.out)
        ]
        drawn += robustness_pictures(read_rows(self.out / "robustness.csv"))
        table, text = [list(row) for row in cells(lines, comparisons)], markdown(lines, comparisons)
        for logger in self.loggers:
            try:
                logger.log_hyperparams(self.options)
                experiment: Any = getattr(logger, "experiment", None)
                self._scores(logger, {name_of(line): line.value for line in lines})
                if hasattr(logger, "log_table"):
                    logger.log_table(key="results", columns=list(HEADER), data=table)
                elif hasattr(experiment, "add_text"):
                    experiment.add_text("results", text)
                for picture in drawn:
                    name = f"{picture.task}/{picture.caption}"
                    if hasattr(logger, "log_image"):
                        logger.log_image(
                            key=name, images=[picture.figure], caption=[picture.caption]
                        )
                    elif hasattr(experiment, "add_figure"):
                        experiment.add_figure(name, picture.figure, close=False)
                self._finish(logger)
            except Exception as error:  # Loggers raise exceptions of many types.
                raise UserError(
                    f"{type(logger).__name__} failed: {first_line(error, 200)}\n"
                    f"All results are in {self.out}; repeat the command to send them without "
                    "computing them again."
                ) from error

    def _scores(self, logger: Any, scores: dict[str, float]) -> None:
        if type(logger).__name__ == "WandbLogger":
            logger.experiment.summary.update(scores)
        else:
            logger.log_metrics(scores, step=0)

    def _finish(self, logger: Any) -> None:
        if type(logger).__name__ != "WandbLogger":
            logger.save()
            logger.finalize("success")
            return
        import wandb

        write_text(self.out / REMEMBERED, json.dumps({"wandb_id": logger.version}) + "\n")
        wandb.finish()


def of_task(rows: Sequence[Row], task: str) -> list[Row]:
    """Return the rows of one task."""
    return [row for row in rows if row.task == task]


def name_of(line: Line) -> str:
    """Return the name of a score: ``task/method/encoder/metric``."""
    return "/".join((line.task, line.method, line.checkpoint, line.metric))
