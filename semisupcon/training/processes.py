"""Read facts of the job and its processes from the variables of torchrun and SLURM."""

import os

from semisupcon.errors import ConfigError

# Job names of interactive SLURM sessions. One step of such a job may start many runs.
INTERACTIVE = ("bash", "interactive")


def restarted() -> bool:
    """Return whether SLURM has requeued the job, or torchrun has restarted its processes."""
    return any(
        _number(name, 0) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    )


def job() -> str | None:
    """Return the name of the SLURM or torchrun job, or None outside of a job.

    All processes and all attempts of a job have the same name.
    """
    if (launch := os.environ.get("TORCHELASTIC_RUN_ID", "none")) != "none":
        return launch
    if "SLURM_STEP_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return None
    parts = (
        ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
        if "SLURM_ARRAY_JOB_ID" in os.environ
        else ("SLURM_JOB_ID",)
    )
    return "-".join(os.environ[part] for part in (*parts, "SLURM_STEP_ID"))


def check_processes(world_size: int) -> None:
    """Check that the launcher started as many processes as the trainer is configured for.

    Raises:
        ConfigError: if the numbers differ. Each process would then train alone, or wait for
            processes that do not exist.
    """
    # Lightning uses the same rule to detect SLURM.
    slurm = "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in INTERACTIVE
    launched = {
        "torchrun": "WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in os.environ else None,
        "SLURM": "SLURM_NTASKS" if slurm else None,
    }
    for launcher, name in launched.items():
        count = _number(name, 1) if name else world_size
        if count != world_size:
            then = (
                "each would train alone" if count > world_size else "it would wait for the others"
            )
            raise ConfigError(
                f"{launcher} started {count} process{'es' * (count > 1)}, but the trainer is "
                f"configured for {world_size}: {then}.\n"
                f"Give --trainer.devices and --trainer.num_nodes with product {count}, or start "
                f"{world_size}."
            )


def is_first_process() -> bool:
    """Return whether this process has rank 0 and thus writes the files of the run.

    The rank is read from the variables of torchrun, SLURM or Lightning's launcher.
    """
    return all(
        os.environ.get(name, "0") == "0"
        for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    )


def check_slurm() -> None:
    """Check that a SLURM job with several tasks has ``--ntasks-per-node``.

    Lightning needs this number to count the processes.

    Raises:
        ConfigError: for ``--ntasks`` without ``--ntasks-per-node``.
    """
    if "SLURM_JOB_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return
    tasks = _number("SLURM_NTASKS", 1)
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(
            f"The SLURM job has --ntasks={tasks}; Lightning needs the number of tasks per node.\n"
            "Give sbatch --ntasks-per-node (and --nodes), and start the command with srun: "
            "docs/pretrain.sbatch does so."
        )


def _number(name: str, default: int) -> int:
    """Read a whole number from an environment variable; missing or invalid: ``default``."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
