"""Process ranks and job facts from the environment variables of torchrun and SLURM."""

import os

from semisupcon.errors import ConfigError

# job names of interactive SLURM sessions, in which one step may start many runs
INTERACTIVE = ("bash", "interactive")


def restarted() -> bool:
    """Whether this is a repeated attempt of a job: requeued by SLURM or restarted by torchrun."""
    return any(
        _number(name, 0) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    )


def job() -> str | None:
    """Name of the SLURM or torchrun job, the same in all its processes and attempts; None without
    one.
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
        ConfigError: if the numbers differ. Processes would train separately, or wait for others
            that do not exist.
    """
    # Same rule as in Lightning.
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
    """Whether this process writes files: rank 0, by the variables of torchrun, SLURM or Lightning's
    launcher.
    """
    return all(
        os.environ.get(name, "0") == "0"
        for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    )


def check_slurm() -> None:
    """Refuse a SLURM job with a number of tasks, but not of tasks per node, which Lightning needs
    to count processes.

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
    """A whole number from an environment variable; the default if it is missing or invalid."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
