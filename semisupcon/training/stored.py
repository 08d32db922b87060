"""Store the state of an `Objective` in a checkpoint, and restore it in a resumed run."""

from typing import Any

from semisupcon.checkpoints import FORMAT, check_format, plain_facts
from semisupcon.spec import spec_of
from semisupcon.training.pending import pending_of, restore_pending
from semisupcon.training.settling import settle


def add_state(module: Any, checkpoint: dict[str, Any]) -> None:
    """Add model, facts, settings and pending work to a checkpoint. Every rank must call it."""
    checkpoint["semisupcon"] = {
        "version": FORMAT,
        "encoder": spec_of(module.encoder),
        "criterion": spec_of(module.criterion),
        "facts": plain_facts(module.facts),
        "training": module.configured,
        "config": module.config,
    }
    if module.trainer.state.fn == "fit" and (pending := pending_of(module)) is not None:
        checkpoint["pending"] = pending


def take_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Take the state that `restore` needs out of a checkpoint.

    The states of optimizer and schedule are removed from the checkpoint, because Lightning would
    restore their settings too.

    Raises:
        CheckpointError: for a checkpoint of a later version.
    """
    check_format(checkpoint.get("semisupcon", {}).get("version", 1), "The checkpoint")
    kept = ("optimizer_states", "lr_schedulers", "global_step", "semisupcon", "pending")
    state = {name: checkpoint[name] for name in kept if name in checkpoint}
    checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []
    return state


def restore(module: Any, state: dict[str, Any]) -> None:
    """Restore optimizer, schedule and pending work from the state that `take_state` returned.

    Settings of the configuration override those of the checkpoint.
    """
    trainer = module.trainer
    trainer.strategy.load_optimizer_state_dict({"optimizer_states": state["optimizer_states"]})
    schedules = trainer.lr_scheduler_configs
    if schedules or module.make_scheduler is None:  # else a callback removed it
        (optimizer,) = trainer.optimizers
        scheduler = schedules[0].scheduler if schedules else None
        settle(optimizer, scheduler, module.schedule, module.configured, state)
    restore_pending(module, state.get("pending"), module.global_rank)
