"""Mistakes as a user makes them: status 2, at most three lines that name the option, no traceback,
nothing left behind."""

import os
import signal

import pytest
import pytorch_lightning as L

from benchmarks.forked import ended, start
from semisupcon.commands.failures import failure_in_options
from tests.pretraining.runs import ROOT, TINY, pretrain

ADAMW = "--model.optimizer torch.optim.AdamW"
STEP_LR = "--model.scheduler torch.optim.lr_scheduler.StepLR"
# What is typed -> a part of what is said.
MISTAKES = {
    "--trainer.val_check_interval 1000": "--trainer.val_check_interval",
    "--trainer.limit_train_batches -1": "limit_train_batches",
    "--trainer.limit_train_batches 1.5": "limit_train_batches",
    "--trainer.max_steps -5": "max_steps",
    "--trainer.accumulate_grad_batches 0": "--trainer.accumulate_grad_batches must be at least 1",
    "--trainer.log_every_n_steps 0": "--trainer.log_every_n_steps must be at least 1",
    "--trainer.num_nodes 0": "--trainer.num_nodes must be at least 1",
    "--trainer.strategy fsdp": "fsdp",
    "--trainer.strategy ddpx": "--trainer.strategy",
    "--trainer.accelerator tpuu": "--trainer.accelerator",
    "--trainer.devices 0": "devices",
    "--trainer.devices x": "--trainer.devices",
    "--trainer.precision 17": "--trainer.precision",
    "--trainer.gradient_clip_val 1 --trainer.gradient_clip_algorithm foo": "gradient_clip_algorithm",
    "--trainer.profiler foo": "profiler",
    "--trainer.max_time foo": "DD:HH:MM:SS",
    "--trainer.barebones true": "--trainer.barebones",
    "--trainer.default_root_dir x": "--trainer.default_root_dir",
    "--trainer.callbacks+ LearningRateMonitr": "LearningRateMonitor",
    "--trainer.callbacks+ EMAWeightAveraging --trainer.callbacks.decay 2": "decay",
    "--trainer.callbacks+ StochasticWeightAveraging --trainer.callbacks.swa_lrs 0.02": "swa_epoch_start",
    "--trainer.callbacks+ LearningRateMonitor --trainer.callbacks.logging_interval x": "logging_interval takes step or epoch, got 'x'",
    "--trainer.callbacks+ ModelCheckpoint --trainer.callbacks.save_topk 3": "--trainer.callbacks.save_top_k",
    "--trainer.max_steps 0": "--trainer.max_steps 0 trains nothing",
    "--trainer.limit_train_batches 0.0": "--trainer.limit_train_batches 0.0 trains nothing",
    "--trainer.min_steps 5": "--trainer.min_steps 5 is more than --trainer.max_steps 2",
    "--trainer.val_check_interval 0": "--trainer.val_check_interval must be greater than 0",
    "--trainer.check_val_every_n_epoch 0": "--trainer.check_val_every_n_epoch must be at least 1",
    "--trainer.gradient_clip_val -1": "--trainer.gradient_clip_val must be at least 0",
    "--trainer.enable_checkpointing false": "--trainer.enable_checkpointing false: a run always keeps last.ckpt",
    "--trainer.sync_batchnorm true --trainer.strategy ddp": "--trainer.sync_batchnorm true works on GPUs only",
    "--trainer.accelerator tpu": "--trainer.accelerator: ",
    "--trainer.accelerator cuda": "--trainer.accelerator: ",
    "--model.scheduler ReduceLROnPlateau": "give the full path: torch.optim.lr_scheduler.ReduceLROnPlateau, pytorch_lightning.cli.",
    "--trainer 4": "--trainer takes a mapping of options",
    "--data 5": "--data",
    "--model.optimizer.lr -1": "--model.optimizer.lr",
    "--model.optimizer.weight_decay -1": "--model.optimizer.weight_decay",
    f"{ADAMW} --model.optimizer.betas [2,3]": "--model.optimizer.betas",
    "--model.optimizer torch.optim.Adamm": "Adam",
    "--model.optimizer.learning_rate 1": "--model.optimizer.lr",
    STEP_LR: "--model.scheduler.step_size",
    "--model.scheduler torch.optim.lr_scheduler.OneCycleLR --model.scheduler.max_lr 0.1 --trainer.max_steps -1": "--trainer.max_steps",
    "--model.criterion.temperature 0": "temperature",
    "--model.encoder TimmEncoder --model.encoder.model resnet": "Did you mean 'resnet",
    "--model.encoder Conformer": "Conformer",
    "--model.chunk_size 0": "model.chunk_size",
    "--data.severity_modifier 9": "severity_modifier",
    "--data.aug_list [gian]": "Did you mean 'gain'?",
    "--data.num_workers -1": "--data.num_workers must be at least 0",
    "--data.batch_size 0": "data.batch_size",
    "--data.bach_size 8": "--data.batch_size",
    "--data.val_split 2": "data.val_split",
    "--data.target_length -1": "data.target_length",
    "--data.target_sample_rate 44100": "data.target_sample_rate",
    "--data.sl_task fsdd_digits": "fsdd_digit",
    "--save_every -1": "--save_every must be at least 0",
    "--monitor_mode maximum": "monitor_mode",
    "--monitor val_loss --monitor_mode max": "--monitor_mode min",
    "--run_name a/../../b": "--run_name",
    "--resume_from_checkpoint /nowhere": "No checkpoint at /nowhere",
    "--resume_from_checkpoint last": "Nothing to resume",
    "--log wnadb": "--log",
    "--seed_everything -3": "-3",
    "--seed_everything 99999999999999": "--seed_everything: ",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(digits, tmp_path, monkeypatch, capsys, typed):
    monkeypatch.chdir(tmp_path)
    options = typed.split()
    if "--trainer.max_steps" not in options:
        options += ["--trainer.max_steps", "2"]
    try:
        status = pretrain(digits, tmp_path / "runs", *options)
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr().err
    said = said[said.find("error: ") :].strip()
    assert (status, said[:7]) == (2, "error: ")
    assert MISTAKES[typed] in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 3
    assert not any(tmp_path.iterdir())


SLURM = {
    "JOB_ID": "77",
    "JOB_NAME": "train",
    "PROCID": "0",
    "LOCALID": "0",
    "NODEID": "0",
    "NODELIST": "here",
}
LAUNCHED = {
    "srun with --ntasks": ({"NTASKS": "2", "STEP_ID": "0"}, "1", "Give sbatch --ntasks-per-node"),
    "sbatch with --ntasks": ({"NTASKS": "2"}, "1", "Give sbatch --ntasks-per-node"),
    "more tasks than devices": (
        {"NTASKS": "2", "NTASKS_PER_NODE": "2", "STEP_ID": "0"},
        "1",
        "SLURM started 2 processes",
    ),
    "more devices than tasks": (
        {"NTASKS": "1", "STEP_ID": "0"},
        "2",
        "SLURM started 1 process, but the trainer is configured for 2",
    ),
    "interactive": ({"NTASKS": "4", "STEP_ID": "0", "JOB_NAME": "bash"}, "1", None),
}


@pytest.mark.parametrize("name", LAUNCHED)
def test_tasks_of_slurm_that_do_not_fit_are_told(digits, tmp_path, monkeypatch, capsys, name):
    variables, devices, expected = LAUNCHED[name]
    for key, value in (SLURM | variables).items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    status = pretrain(
        digits,
        tmp_path / "runs",
        "--trainer.devices",
        devices,
        "--trainer.max_steps",
        "1",
        "--trainer.limit_val_batches",
        "0",
    )
    said = capsys.readouterr().err
    if expected is None:
        assert status == 0
        return
    assert (status, expected in said) == (2, True)
    assert len(said[said.find("error: ") :].strip().splitlines()) <= 3
    assert not (tmp_path / "runs").exists()


def test_an_unknown_mode_of_wandb_is_told(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    assert pretrain(digits, tmp_path / "runs", "--log", "wandb") == 2
    assert "WANDB_MODE is one of online, offline" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_timer_of_lightnings_can_be_recorded(digits, tmp_path):
    timer = ("--trainer.callbacks+", "Timer", "--trainer.callbacks.duration", "00:01:00:00")
    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "1", *timer) == 0
    assert "interval: step" in (tmp_path / "r" / "run_config.yaml").read_text()


def test_wandb_without_a_login_is_told_before_anything_is_written(
    digits, tmp_path, monkeypatch, capsys
):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    assert pretrain(digits, tmp_path / "runs", "--log", "wandb") == 2
    assert "wandb login" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_optimizer_that_refuses_its_gradients_is_named(digits, tmp_path, capsys):
    assert (
        pretrain(
            digits,
            tmp_path,
            "--model.optimizer",
            "torch.optim.SparseAdam",
            "--trainer.max_steps",
            "1",
        )
        == 2
    )
    assert (
        "error: --model.optimizer: SparseAdam does not support dense gradients"
        in capsys.readouterr().err
    )


def test_early_stopping_on_a_value_that_is_not_there(digits, tmp_path, capsys):
    stop = (
        "--trainer.callbacks+",
        "EarlyStopping",
        "--trainer.callbacks.monitor",
        "val_los",
        "--trainer.max_epochs",
        "2",
    )
    assert pretrain(digits, tmp_path, *stop) == 2
    said = capsys.readouterr().err
    assert "error: --trainer.callbacks: Early stopping conditioned on metric `val_los`" in said


class Broken(L.Callback):
    """A callback of the user's own with a defect."""

    def on_train_start(self, trainer, module):
        raise KeyError("mine")


def test_a_defect_keeps_its_traceback(digits, tmp_path):
    with pytest.raises(KeyError, match="mine") as caught:
        pretrain(digits, tmp_path, "--trainer.callbacks+", f"{__name__}.Broken")
    assert "Please report it" in caught.value.__notes__[0]
    assert failure_in_options(caught.value, []) is None


LIBRARY = "/x/lib/python3.11/site-packages/"


@pytest.mark.parametrize(
    ("file", "function", "resumes"),
    [
        ("pytorch_lightning/trainer/connectors/checkpoint_connector.py", "restore_it", True),
        ("pytorch_lightning/trainer/connectors/checkpoint_connector.py", "dump_it", False),
        ("pytorch_lightning/loops/fit_loop.py", "restore_it", False),
    ],
)
def test_only_an_error_of_a_restore_is_about_the_checkpoint(file, function, resumes):
    scope = {}
    code = compile(f"def {function}():\n    raise KeyError('x')", LIBRARY + file, "exec")
    exec(code, scope)  # noqa: S102, a function of a file of a library
    with pytest.raises(KeyError) as caught:
        scope[function]()
    # The frame of this test is one of a user.
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    told = failure_in_options(error, []) or ""
    assert told.startswith("--resume_from_checkpoint") == resumes


class SecondInterrupt(L.Callback):
    """Ctrl-C twice within a step."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_with_130(digits, tmp_path):
    config = str(ROOT / "config" / "pretraining" / "pretrain_ssl.yaml")
    tiny = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    run = ["--data.data_dir", str(digits), "--ckpt_path", str(tmp_path), "--trainer.max_steps", "4"]
    twice = ["--trainer.callbacks+", f"{__name__}.SecondInterrupt"]
    said = tmp_path / "said"
    process = start(["pretrain", "--config", config, *tiny, *run, *twice], said)
    assert ended(process, 60) == 130
    assert "Traceback" not in said.read_text()


def test_a_resume_from_the_folder_alone(digits, tmp_path, caplog):
    from semisupcon.checkpoints import read_checkpoint
    from semisupcon.commands.pretrain import main

    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "2") == 0
    assert main(["--resume_from_checkpoint", str(tmp_path / "r"), "--trainer.max_steps", "4"]) == 0
    assert read_checkpoint(tmp_path / "r" / "last.ckpt")["global_step"] == 4
    assert (
        main(
            [
                "--ckpt_path",
                str(tmp_path),
                "--resume_from_checkpoint=last",
                "--trainer.max_steps",
                "5",
            ]
        )
        == 0
    )
    assert read_checkpoint(tmp_path / "r" / "last.ckpt")["global_step"] == 5


def test_max_time_counts_anew_in_every_job(digits, tmp_path):
    from semisupcon.checkpoints import read_checkpoint

    options = (
        "--trainer.max_time",
        "00:00:00:01",
        "--trainer.max_steps",
        "100000",
        "--save_every",
        "0",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", *options) == 0
    first = read_checkpoint(tmp_path / "r" / "last.ckpt")["global_step"]
    assert (
        pretrain(digits, tmp_path, "--resume_from_checkpoint", str(tmp_path / "r"), *options) == 0
    )
    assert read_checkpoint(tmp_path / "r" / "last.ckpt")["global_step"] > first
