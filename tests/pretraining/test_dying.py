"""Workers that die or hang, signals, full disks and second runs: a run is saved, says why it ends,
and goes on bit for bit when it is resumed."""

import os
import signal
import sys
import time

import pytest
import pytorch_lightning as L
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling as torch_signals

from semisupcon.checkpoints import read_checkpoint
from semisupcon.data import workers
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.locks import folder_lock
from semisupcon.training import writing
from semisupcon.training.callbacks import EndWell
from semisupcon.training.progress import RunProgress
from tests.pretraining.runs import assert_same, pretrain, rows, stopping

STEPS = 9
OPTIONS = ("--trainer.max_steps", str(STEPS), "--save_every", "0", "--run_name", "a")


class AtStep(L.Callback):
    """Does something after a step: kills or stops a worker, fills the disk, or closes the
    output."""

    def __init__(self, step: int, what: str):
        self.step, self.what = step, what

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step != self.step:
            return
        if self.what == "kill":
            killed(trainer.train_dataloader._iterator)
        if self.what == "stop":
            # Not earlier: workers may take longer to start.
            workers.WARN_AFTER, workers.GIVE_UP_AFTER, workers.LOOK = 0.2, 0.6, 0.1
            for worker in trainer.train_dataloader._iterator._workers:
                os.kill(worker.pid, signal.SIGSTOP)
        if self.what == "close":
            sys.stderr = ClosedPipe()


def killed(iterator) -> None:
    """Kill the first worker, and wait until it is dead."""
    worker = iterator._workers[0]
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


class ClosedPipe:
    """What standard error is to a program whose reader has ended."""

    def write(self, text):
        raise BrokenPipeError

    flush = write
    isatty = bool


def at_step(step: int, what: str) -> tuple[str, ...]:
    name = f"{__name__}.AtStep"
    return (
        "--trainer.callbacks+",
        name,
        "--trainer.callbacks.step",
        str(step),
        "--trainer.callbacks.what",
        what,
    )


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A run that nothing happens to."""
    runs = tmp_path_factory.mktemp("runs")
    assert pretrain(digits, runs, *OPTIONS) == 0
    return runs / "a"


def assert_continues(digits, runs, whole):
    assert not (runs / "a" / ".lock").exists()
    assert pretrain(digits, runs, *OPTIONS[:4], "--resume_from_checkpoint", "last") == 0
    ours, theirs = (read_checkpoint(run / "last.ckpt") for run in (runs / "a", whole))
    for part in ("state_dict", "optimizer_states", "global_step"):
        assert_same(ours[part], theirs[part], part)
    assert rows(runs / "a") == rows(whole)


# --- workers ---


@pytest.fixture
def handler_of_torch(monkeypatch):
    """A loader of torch has been used in this process: its handler of SIGCHLD stays, and raises
    amid a step. In place of this handler."""
    before = signal.signal(signal.SIGCHLD, mine := lambda *_: None)
    monkeypatch.setattr(torch_signals, "_SIGCHLD_handler_set", False)
    assert len(list(DataLoader([1, 2, 3], num_workers=1))) == 3
    assert signal.getsignal(signal.SIGCHLD).__module__ == torch_signals.__name__
    yield mine
    signal.signal(signal.SIGCHLD, before)


def test_a_worker_that_is_killed_after_a_loader_of_torch(
    digits, tmp_path, whole, capfd, handler_of_torch
):
    assert workers._without_torch(signal.getsignal(signal.SIGCHLD)) is handler_of_torch
    test_a_worker_that_is_killed(digits, tmp_path, whole, capfd)


def test_dead_workers_of_another_run_are_not_reported(digits, tmp_path, whole, capfd):
    options = {"target_sample_rate": 8000, "target_length": 0.2, "batch_size": 8, "num_workers": 1}
    module = AudioDataModule(sl_task="fsdd_digit", data_dir=str(digits), **options)
    iterators = []
    for _ in range(2):
        module.setup()
        iterators.append(iter(module.train_dataloader().loader))
        next(iterators[-1])
    reported, unreported = iterators
    for iterator in iterators:
        killed(iterator)
    with pytest.raises(workers.WorkerError, match=str(reported._workers[0].pid)):
        next(reported)
    with pytest.raises(workers.WorkerError, match=str(unreported._workers[0].pid)):
        next(unreported)
    assert pretrain(digits, tmp_path, *OPTIONS, "--data.num_workers", "1") == 0, (
        capfd.readouterr().err
    )


def test_a_worker_that_is_killed(digits, tmp_path, whole, capfd):
    assert pretrain(digits, tmp_path, *OPTIONS, "--data.num_workers", "2", *at_step(4, "kill")) == 2
    said = capfd.readouterr().err
    assert (
        "(a process that reads audio) was killed by SIGKILL.\nThe kernel kills processes when "
        "memory runs out" in said
    )
    assert "Traceback" not in said
    assert read_checkpoint(tmp_path / "a" / "last.ckpt")["global_step"] in (
        4,
        5,
    )  # one batch is fetched ahead
    (keep,) = (
        state
        for state in read_checkpoint(tmp_path / "a" / "last.ckpt")["callbacks"].values()
        if isinstance(state, dict) and "row" in state
    )
    assert keep["row"]["step"] in (3, 4)
    assert_continues(digits, tmp_path, whole)


def test_a_worker_that_hangs(digits, tmp_path, whole, capfd, monkeypatch):
    for name in ("WARN_AFTER", "GIVE_UP_AFTER", "LOOK"):
        monkeypatch.setattr(workers, name, getattr(workers, name))  # `AtStep` sets them
    # The batches read ahead end before the validation at step 7, which would save.
    assert pretrain(digits, tmp_path, *OPTIONS, "--data.num_workers", "1", *at_step(1, "stop")) == 2
    said = capfd.readouterr().err
    assert "does not respond.\nA stalled disk or network can cause this." in said
    assert read_checkpoint(tmp_path / "a" / "last.ckpt")["global_step"] in range(1, 7)
    assert_continues(digits, tmp_path, whole)


# --- signals and pipes ---


def test_a_closed_terminal_saves(digits, tmp_path, whole):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where tests run under nohup
    try:
        hung_up(digits, tmp_path, whole)
    finally:
        signal.signal(signal.SIGHUP, before)


def hung_up(digits, tmp_path, whole):
    assert pretrain(digits, tmp_path, *OPTIONS, *stopping(3, signal.SIGHUP)) == 129
    assert read_checkpoint(tmp_path / "a" / "last.ckpt")["global_step"] == 3
    assert_continues(digits, tmp_path, whole)


def test_after_a_run_signals_are_handled_as_before(digits, tmp_path):
    """A process that trains and goes on, such as a notebook, can still be ended."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    for name in ("a", "b"):
        options = ("--trainer.max_steps", "1", "--run_name", name)
        assert pretrain(digits, tmp_path, *options) == 0
        assert [signal.getsignal(number) for number in numbers] == before


def test_under_nohup_a_hangup_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer = type(
            "Trainer", (), {"_accelerator_connector": type("C", (), {"cluster_environment": None})}
        )
        end = EndWell(None)
        end.on_train_start(trainer, None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        end.teardown(trainer, None, "fit")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_whose_reader_has_ended_is_saved(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("semisupcon.training.progress.EVERY_LOG", 0.0)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    assert RunProgress  # on: the options of these tests switch it off
    options = (*OPTIONS, "--trainer.enable_progress_bar", "true")
    assert pretrain(digits, tmp_path, *options, *at_step(3, "close")) == 141
    assert 3 <= read_checkpoint(tmp_path / "a" / "last.ckpt")["global_step"] <= 4


# --- the row of metrics ---


def test_the_row_of_a_saved_step_is_not_lost(digits, tmp_path, whole):
    """Killed after the renaming of last.ckpt and before the logger: the row comes from the
    checkpoint."""
    shorter = ("--trainer.max_steps", "4", "--save_every", "4", "--run_name", "a")
    assert pretrain(digits, tmp_path, *shorter, *at_step(99, "")) == 0
    file = tmp_path / "a" / "metrics.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    last = [line for line in lines if line.startswith(b"3,")]
    assert len(last) == 1
    file.write_bytes(b"".join(line for line in lines if line not in last))
    assert_continues(digits, tmp_path, whole)


# --- disks ---


def full_between(first, last, monkeypatch, counter):
    """Checkpoints of these numbers meet a full disk."""
    real = writing.save_atomically

    def save(content, path):
        counter.append(path.name)
        if first <= len(counter) <= last:
            raise writing.DiskError(
                f"{path} cannot be written: No space left on device. It needs 24.0 MB, 0.0 MB are "
                "free."
            )
        real(content, path)

    monkeypatch.setattr(writing, "save_atomically", save)


def test_a_checkpoint_that_finds_no_room_is_tried_again(
    digits, tmp_path, whole, monkeypatch, caplog
):
    full_between(2, 2, monkeypatch, saves := [])
    assert pretrain(digits, tmp_path, *OPTIONS[:2], "--save_every", "2", "--run_name", "a") == 0
    assert len(saves) > 4
    assert [r.message for r in caplog.records if "tries again at the next save" in r.message]
    assert_continues(digits, tmp_path, whole)


def test_a_run_ends_when_the_second_save_finds_no_room_either(
    digits, tmp_path, whole, monkeypatch, capfd
):
    full_between(2, 99, monkeypatch, [])
    assert pretrain(digits, tmp_path, *OPTIONS[:2], "--save_every", "2", "--run_name", "a") == 2
    said = capfd.readouterr().err
    assert "No space left on device. It needs 24.0 MB" in said
    assert f"Free disk space, and continue with --resume_from_checkpoint {tmp_path / 'a'}." in said
    monkeypatch.undo()
    assert_continues(digits, tmp_path, whole)


# --- two at once ---


def test_a_second_run_in_the_folder_is_refused(digits, tmp_path, capfd):
    begin = time.perf_counter()
    shorter = ("--trainer.max_steps", "1", "--run_name", "a")
    with folder_lock(tmp_path / "a", "run", "-"):
        # A lock of another thread stands for that of another process: `tests/test_locks.py` has
        # processes.
        import threading

        status = []
        thread = threading.Thread(
            target=lambda: status.append(pretrain(digits, tmp_path, *shorter))
        )
        thread.start()
        thread.join()
    assert status == [2]
    said = capfd.readouterr().err
    assert f"{tmp_path / 'a'} is in use by another run: process {os.getpid()} on " in said
    assert "choose another --run_name" in said
    assert list(tmp_path.iterdir()) == []
    assert time.perf_counter() - begin < 60
