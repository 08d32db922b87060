"""How a run ends after a signal: saved at an optimizer step, on all ranks together, validated only
where that was due."""

import signal
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from semisupcon.training.callbacks import EndWell, JobTimer

ASKED = signal.SIGTERM


@pytest.fixture(autouse=True)
def row(monkeypatch):
    monkeypatch.setattr("semisupcon.training.callbacks.row_of_step", lambda trainer: {"loss": 1.0})


def trainer_at(
    step: int, world_size: int = 1, due: bool = False, accumulating: bool = False, others: int = 0
) -> SimpleNamespace:
    """What the callback sees of a trainer at an optimizer step; ``others`` is the signal that
    another rank received."""
    epoch_loop = SimpleNamespace(
        _should_check_val_fx=lambda _: due, _should_accumulate=lambda: accumulating, min_steps=50
    )
    return SimpleNamespace(
        world_size=world_size,
        global_step=step,
        accumulate_grad_batches=1 + accumulating,
        fit_loop=SimpleNamespace(epoch_loop=epoch_loop, _data_fetcher=None, min_epochs=9),
        strategy=SimpleNamespace(
            root_device="cpu",
            reduce=lambda told, reduce_op: torch.maximum(told, torch.tensor(others)),
        ),
        should_stop=False,
        limit_val_batches=4,
    )


def ended(trainer: SimpleNamespace, received: int | None = ASKED, **options) -> EndWell:
    """The callback after a batch; ``saved`` says how often it saved."""
    saved = []
    end = EndWell(
        SimpleNamespace(save=lambda trainer, **how: saved.append((trainer, how))), **options
    )
    end.received, end.saved = received, saved
    end.on_train_batch_end(trainer)
    return end


def test_without_a_signal_nothing_happens():
    trainer = trainer_at(20)
    assert not ended(trainer, received=None).saved
    assert not trainer.should_stop


@pytest.mark.parametrize("due", [False, True])
def test_a_signal_saves_and_ends_and_validates_only_where_that_was_due(due):
    trainer = trainer_at(3, due=due)
    assert ended(trainer).saved == [(trainer, {"final": True, "row": {"loss": 1.0}})]
    assert trainer.should_stop
    assert (trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps) == (0, 0)
    assert trainer.limit_val_batches == (4 if due else 0)


def test_a_window_of_accumulated_batches_is_finished_first():
    trainer = trainer_at(3, accumulating=True)
    assert not ended(trainer).saved
    assert not trainer.should_stop


@pytest.mark.parametrize(("step", "ends"), [(9, False), (10, True), (11, False), (20, True)])
@pytest.mark.parametrize(
    ("received", "others"), [(None, ASKED), (ASKED, 0), (ASKED, signal.SIGINT)]
)
def test_ranks_agree_every_so_many_steps(step, ends, received, others):
    trainer = trainer_at(step, world_size=2, others=others)
    end = ended(trainer, received, check_every=10)
    assert trainer.should_stop == ends
    assert bool(end.saved) == ends
    assert end.received == (ASKED if ends else received)


def test_ranks_go_on_where_none_received_a_signal():
    trainer = trainer_at(10, world_size=2)
    assert ended(trainer, None).received is None
    assert not trainer.should_stop


def test_the_same_interrupt_twice_ends_at_once():
    end = EndWell(SimpleNamespace(save=lambda trainer: None))
    end._handle(signal.SIGTERM, None)
    end._handle(signal.SIGINT, None)
    assert end.received == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        end._handle(signal.SIGINT, None)
    terminated = EndWell(SimpleNamespace(save=lambda trainer: None))
    for _ in range(2):
        terminated._handle(signal.SIGTERM, None)
    assert terminated.received == signal.SIGTERM


@pytest.mark.parametrize(
    ("environment", "local_rank", "status"),
    [
        (LightningEnvironment, 0, 143),
        (LightningEnvironment, 1, 0),
        (TorchElasticEnvironment, 1, 143),
    ],
)
def test_the_exit_status_is_that_of_shells(environment, local_rank, status):
    connector = SimpleNamespace(cluster_environment=object.__new__(environment))
    trainer = SimpleNamespace(_accelerator_connector=connector, local_rank=local_rank)
    end = EndWell(SimpleNamespace())
    assert end.exit_status(trainer) == 0
    end.received = signal.SIGTERM
    assert end.exit_status(trainer) == status


def test_handlers_are_put_back():
    def mine(*_):
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        end = EndWell(SimpleNamespace())
        trainer = SimpleNamespace(
            _accelerator_connector=SimpleNamespace(cluster_environment=SimpleNamespace())
        )
        end.on_train_start(trainer, None)
        assert signal.getsignal(signal.SIGTERM) == end._handle == signal.getsignal(signal.SIGINT)
        end.teardown(trainer, None, "fit")
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_time_of_a_job_is_not_resumed():
    timer = JobTimer("00:00:10:00")
    assert timer.state_dict() == {}
    timer.load_state_dict({"time_elapsed": {"train": 599.0}})
    assert timer.time_elapsed("train") == 0
