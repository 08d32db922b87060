"""What the launcher of a job says: torchrun and SLURM tell by environment variables which process this is, and of how many."""

import os

from semisupcon.errors import ConfigError

INTERACTIVE = ("bash", "interactive")  # names of jobs within which one step may see many runs


def restarted() -> bool:
    """Whether this is not the first attempt of its job: SLURM has requeued it, or torchrun has started its processes again."""
    return any(_number(name, 0) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))


def job() -> str | None:
    """What SLURM or torchrun calls this job: the same in all its processes and attempts; None outside of them."""
    if (launch := os.environ.get("TORCHELASTIC_RUN_ID", "none")) != "none":
        return launch
    if "SLURM_STEP_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return None
    parts = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID") if "SLURM_ARRAY_JOB_ID" in os.environ else ("SLURM_JOB_ID",)
    return "-".join(os.environ[part] for part in (*parts, "SLURM_STEP_ID"))


def check_processes(world_size: int) -> None:
    """Refuse processes that know nothing of each other, and a process that would wait for others which nobody starts.

    Raises:
        ConfigError: where torchrun or SLURM started another number of processes than the trainer is configured for.
    """
    slurm = "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in INTERACTIVE  # As Lightning tells.
    launched = {"torchrun": "WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in os.environ else None, "SLURM": "SLURM_NTASKS" if slurm else None}
    for launcher, name in launched.items():
        count = _number(name, 1) if name else world_size
        if count != world_size:
            then = "each would train alone" if count > world_size else "it would wait for the others"
            raise ConfigError(
                f"{launcher} started {count} process{'es' * (count > 1)}, and the trainer is configured for {world_size}: {then}.\n"
                f"Give --trainer.devices and --trainer.num_nodes whose product is {count}, or start {world_size}."
            )


def is_first_process() -> bool:
    """Whether this is the process that writes: rank 0, by the variables of torchrun, SLURM or Lightning's launcher."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def check_slurm() -> None:
    """Refuse a job of SLURM that says how many tasks there are, but not how many on each node, from which Lightning counts its processes.

    Raises:
        ConfigError: for ``--ntasks`` without ``--ntasks-per-node``.
    """
    if "SLURM_JOB_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return
    tasks = _number("SLURM_NTASKS", 1)
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(
            f"SLURM was asked for --ntasks={tasks}; Lightning needs the number of tasks on each node.\n"
            "Give sbatch --ntasks-per-node (and --nodes), and start the command with srun: docs/pretrain.sbatch does so."
        )


def _number(name: str, default: int) -> int:
    """An environment variable that holds a whole number; an empty one, and anything else, is the default."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
