"""``semisupcon pretrain``: pretrain an encoder and write all files into a run folder.

A YAML configuration names each class by its import path, or a class of semisupcon by its name.
Options on the command line override all values of the configuration.
"""

import logging
import os
import sys
import warnings
from pathlib import Path

from pytorch_lightning.cli import ArgsType
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from semisupcon.commands.failures import failure_in_options, option_of
from semisupcon.commands.parsing.options import Parser, option_names, resumed_configuration
from semisupcon.commands.parsing.parser import short
from semisupcon.commands.parsing.text_options import gather_task_options
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.errors import UserError
from semisupcon.training.objective import Objective
from semisupcon.training.ranks import end_with_parent, lost_connection
from semisupcon.training.runs import forget_name

log = logging.getLogger("semisupcon")


def speak_plainly() -> None:
    """Set up logging, and hide warnings of Lightning and torch that need no action."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    noise = ("litlogger", "`weights_only` was not set", "TPU available")
    for handler in (
        *logging.getLogger("pytorch_lightning").handlers,
        *logging.getLogger().handlers,
    ):
        handler.addFilter(lambda record: not any(n in str(record.msg) for n in noise))
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("once", message=".*This DataLoader will create.*")
    # Momentum encoders and frozen parts are in eval mode on purpose.
    warnings.filterwarnings("ignore", message=r".*Found \d+ module\(s\) in eval mode.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LightningCLI's args parameter.*")


def configured(args: ArgsType = None, cli: type[PretrainCLI] = PretrainCLI) -> PretrainCLI:
    """Build model, data module and trainer from a command line, without reading data."""
    return cli(
        Objective,
        AudioDataModule,
        subclass_mode_data=True,
        save_config_callback=None,
        seed_everything_default=123,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        parser_class=Parser,
        parser_kwargs={"allow_abbrev": False, "prog": "semisupcon pretrain"},
        run=False,
        args=args,
    )


def main(args: ArgsType = None) -> int:
    """Pretrain an encoder and return the exit status.

    The status is 0 for success, 2 for a mistake of the user, and 128 plus the number of the signal
    that ended the run: 143 (SIGTERM), 129 (SIGHUP), 130 (SIGINT) or 138 (requeued by SLURM).
    """
    speak_plainly()
    end_with_parent()
    try:
        cli = trained(sys.argv[1:] if args is None else args)
    except UserError as error:
        print(f"error: {short(str(error))}", file=sys.stderr)
        return 2
    if cli.end.received is not None:
        return cli.end.exit_status(cli.trainer)
    log.info("All files of this run are in %s", Path(cli.run.folder))
    return 0


def trained(words: ArgsType) -> PretrainCLI:
    """Pretrain an encoder from a command line, and return the LightningCLI of the finished run.

    If a signal has ended the run, ``cli.end.received`` is its number.

    Raises:
        UserError: for a mistake of the user, also if torch or Lightning has noticed it.
    """
    cli = None
    try:
        if isinstance(words, list):
            words = gather_task_options(words, "--probe.task_kwargs")
        cli = configured(resumed_configuration(words))
        cli.fit()
    except UserError:
        raise
    except MisconfigurationException as error:
        option = option_of(error, option_names())
        raise UserError(f"--{option}: {error}" if option else str(error)) from error
    except SystemExit:
        # After a second Ctrl-C, Lightning exits at once with status 1.
        if cli is None or cli.end.received is None:
            raise
    except Exception as error:
        if cli is not None and cli.trainer.world_size > 1 and lost_connection(error):
            raise UserError(cli.ranks.sentence()) from error
        if (
            os.environ.get("SEMISUPCON_TRACEBACK")
            or (sentence := failure_in_options(error, option_names())) is None
        ):
            error.add_note(
                "This is a defect of semisupcon or of your own class. Please report it with the "
                "lines above."
            )
            raise
        raise UserError(
            f"{sentence}\n(SEMISUPCON_TRACEBACK=1 shows where it was raised.)"
        ) from error
    finally:
        forget_name()
    assert cli is not None  # otherwise an exception has left this function
    return cli
