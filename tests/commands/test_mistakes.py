"""A mistake on the command line of any command: one answer, at most three lines, exit status 2."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from semisupcon.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
RECIPE = "pretrain --config config/pretraining/clmr.yaml"
OPTION, CHOICE, MISSING, VALUE = (
    "misspelt option",
    "misspelt choice",
    "missing argument",
    "option without a value",
)
# Command line -> what the answer says.
EACH = {
    "embed": {
        OPTION: ("a.wav --check_point x --out o.npy", "Did you mean --checkpoint?"),
        CHOICE: (
            "a.wav --checkpoint x --out o.npy --per fil",
            "--per takes file or second, got 'fil'. Did you mean 'file'?",
        ),
        MISSING: ("a.wav --out o.npy", "Missing: --checkpoint."),
        VALUE: ("a.wav --checkpoint x --out", "--out needs a value."),
    },
    "predict": {
        OPTION: ("a.wav --checkpoint x --haed h --out o.csv", "Did you mean --head?"),
        CHOICE: ("a.wav --checkpoint x --head h --out o.csv --per fil", "Did you mean 'file'?"),
        MISSING: ("a.wav --checkpoint x --out o.csv", "Missing: --head."),
        VALUE: ("a.wav --checkpoint x --out o.csv --head", "--head needs a value."),
    },
    "tag": {
        OPTION: ("--audio a --lables l.csv --checkpoint x --out o.csv", "Did you mean --labels?"),
        CHOICE: (
            "--audio a --labels l.csv --checkpoint x --out o.csv --kind multilable",
            "Did you mean 'multilabel'?",
        ),
        MISSING: ("--audio a --labels l.csv --out o.csv", "Missing: --checkpoint."),
        VALUE: ("--audio a --checkpoint x --out o.csv --labels", "--labels needs a value."),
    },
    "index": {
        OPTION: ("a --checkpoint x --out i --prunee", "Did you mean --prune?"),
        CHOICE: ("a --checkpoint x --out i --per windw", "Did you mean 'window'?"),
        MISSING: ("a --out i", "Missing: --checkpoint."),
        VALUE: ("a --checkpoint x --out", "--out needs a value."),
    },
    "search": {
        OPTION: ("a.wav --index i --topp 3", "Did you mean --top?"),
        CHOICE: ("a.wav --index i --method exakt", "Did you mean 'exact'?"),
        MISSING: ("a.wav", "Missing: --index."),
        VALUE: ("a.wav --index", "--index needs a value."),
    },
    "push": {
        OPTION: ("a --repo u/n --privte", "Did you mean --private?"),
        CHOICE: ("a --repo user", "--repo takes user/name, got 'user'."),
        MISSING: ("a", "Missing: --repo."),
        VALUE: ("a --repo", "--repo needs a value."),
    },
    "explore": {
        OPTION: ("e.npy --out m.html --clustres 3", "Did you mean --clusters?"),
        CHOICE: ("e.npy --out m.html --method tsn", "Did you mean 'tsne'?"),
        MISSING: ("e.npy", "Missing: --out."),
        VALUE: ("e.npy --out", "--out needs a value."),
    },
    "export": {
        OPTION: ("runs/x --otu y", "Did you mean --out?"),
        MISSING: ("runs/x", "Missing: --out."),
        VALUE: ("runs/x --out", "--out needs a value."),
    },
    "import": {
        OPTION: ("clmr f --outt y", "Did you mean --out?"),
        CHOICE: ("clmrr f --out y", "Did you mean 'clmr'?"),
        MISSING: ("clmr", "Missing: file, --out."),
        VALUE: ("clmr f --out", "--out needs a value."),
    },
    "hear": {
        OPTION: ("a.wav --aug_lst gain", "Did you mean --aug_list?"),
        CHOICE: ("a.wav --aug_list gian", "Did you mean 'gain'?"),
        MISSING: ("", "Missing: file."),
        VALUE: ("a.wav --views", "--views needs a value."),
    },
    "data": {
        OPTION: ("download gtzan --datadir x", "Did you mean --data_dir?"),
        CHOICE: (
            "chek",
            "command takes list, check or download, got 'chek'. Did you mean 'check'?",
        ),
        MISSING: ("check --data_dir x", "Missing: task."),
        VALUE: ("check csv --data_dir", "--data_dir needs a value."),
    },
    "pack": {
        OPTION: ("--out x --data.bach_size 3", "Did you mean --data.batch_size?"),
        CHOICE: (
            "--out x --data.target_sample_rate 8000 --data.sl_task fsdd_digt",
            "Did you mean 'fsdd_digit'?",
        ),
        MISSING: ("--threads 1", "Missing: --out."),
        VALUE: ("--out", "--out needs a value."),
    },
    "stream": {
        OPTION: ("a b --chunkbytes 3", "Did you mean --chunk_bytes?"),
        MISSING: ("a", "Missing: out."),
        VALUE: ("a b --chunk_bytes", "--chunk_bytes needs a value."),
    },
    "pretrain": {
        OPTION: (
            "--data.bach_size 3",
            "There is no option --data.bach_size. Did you mean --data.batch_size?",
        ),
        CHOICE: ("--trainer.precision bf16-mixd", "Did you mean 'bf16-mixed'?"),
        MISSING: ("--model.criterion SimCLR", "Missing: --model.encoder."),
        VALUE: ("--data.batch_size", "--data.batch_size needs a value."),
    },
    "probe": {
        OPTION: ("--taks a", "Did you mean --tasks?"),
        CHOICE: ("--tasks a --checkpoints b --methods lineer", "Did you mean 'linear'?"),
        MISSING: ("--tasks a", "Missing: --checkpoints."),
        VALUE: ("--tasks a --checkpoints", "--checkpoints needs a value."),
    },
}
# Other kinds of mistake.
MORE = {
    "embed a.wav --checkpoint x --out o.npy --batch_size many": "--batch_size takes a whole number, got 'many'.",
    "embed a.wav --checkpoint x --out o.npy --zzz 3": "There is no option --zzz. See: semisupcon embed --help",
    "data check csv --data_dir x --max_mising 0.3": "Did you mean --max_missing?",
    "data check csv --data_dir x --fiel y": "Did you mean --file?",
    "data check csv --data_dir x --zzz y": "Task 'csv' takes: --file,",
    "pack --out x --config nowhere.yaml": "The configuration cannot be read: No such file or directory.\nIn: nowhere.yaml",
    "probe --task_kwargs.a.b": "--task_kwargs.a.b needs a value.",
    "probe --tasks a --checkpoints b --data.bach_size 3": "There is no option --data.bach_size. See:",
    "pretrian": "There is no command 'pretrian'. Did you mean 'pretrain'?",
    f"{RECIPE} --batch_size 3": "Did you mean --data.batch_size?",
    f"{RECIPE} --dta.batch_size 3": "Did you mean --data.batch_size?",
    f"{RECIPE} --data.init_args.bach_size 3": "Did you mean --data.batch_size?",
    f"{RECIPE} --model.lr 3": "Did you mean --model.optimizer.lr?",
    f"{RECIPE} --model.optimizer.learning_rate 3": "Did you mean --model.optimizer.lr?",
    f"{RECIPE} --model.optimizer torch.optim.SGD --model.optimizer.momntum 0.9": "Did you mean --model.optimizer.momentum?",
    f"{RECIPE} --model.optimizer AdamWW": "There is no class AdamWW for --model.optimizer. Did you mean 'AdamW'?",
    f"{RECIPE} --model.encoder SampleCNNSmal": "There is no class SampleCNNSmal for --model.encoder. Did you mean 'SampleCNNSmall'?",
    f"{RECIPE} --model.encoder UserError": "There is no class UserError for --model.encoder.",
    f"{RECIPE} --model.encoder semisupcon.encoders.samplecnn.SampleCN": "Did you mean 'SampleCNN'?",
    f"{RECIPE} --model.encoder torch.nn.Linear": "--model.encoder takes a subclass of Encoder, got torch.nn.Linear.",
    f"{RECIPE} --model.encoder.frontend Waveformm": "There is no class Waveformm for --model.encoder.frontend. Did you mean 'Waveform'?",
    f"{RECIPE} --model.scheduler WarmupCosin": "Did you mean 'WarmupCosine'?",
    f"{RECIPE} --model.scheduler.warmup_steps 3": "--model.scheduler has no class. Give --model.scheduler CLASS before it.",
    f"{RECIPE} --trainer.callbacks+ EarlyStoping": "There is no class EarlyStoping for --trainer.callbacks. Did you mean 'EarlyStopping'?",
    f"{RECIPE} --trainer.callbacks+ EarlyStopping --trainer.callbacks.monitr x": "Did you mean --trainer.callbacks.monitor?",
    f"{RECIPE} --data StreamedDataModule --data.strem x": "Did you mean --data.stream?",
    f"{RECIPE} --model.optimizer.lr fast": "--model.optimizer.lr takes a number, got 'fast'.",
    f"{RECIPE} --data.sl_kwargs 3": "--data.sl_kwargs takes a mapping, got '3'.",
    f"{RECIPE} --trainer.strategy ddpp": "--trainer.strategy: ",
    f"{RECIPE} word": "Unexpected argument 'word'.",
}


def answer(capsys, *words):
    """What a command says, which must be an answer to a mistake."""
    try:
        status = main(list(words))
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr().err
    said = printed[printed.index("error: ") :].strip()
    assert status == 2
    assert len(said.splitlines()) <= 3
    assert "Traceback" not in printed
    assert len(re.findall("Did you mean", said)) <= 1
    return said


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch, tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000)), 8000)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("command", "kind"), [(command, kind) for command, kinds in EACH.items() for kind in kinds]
)
def test_every_command_answers_every_kind_of_mistake(capsys, command, kind):
    words, expected = EACH[command][kind]
    assert expected in answer(capsys, command, *words.split())


def test_every_command_is_tested():
    assert EACH.keys() == COMMANDS.keys()


@pytest.mark.parametrize("words", MORE)
def test_the_answer_names_what_was_meant(capsys, words):
    assert MORE[words] in answer(capsys, *words.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "data: {init_args: {bach_size: 3}}",
            "There is no option --data.bach_size. Did you mean --data.batch_size?\nIn: b.yaml",
        ),
        (
            "trainer: {max_step: 3}",
            "There is no option --trainer.max_step. Did you mean --trainer.max_steps?\nIn: b.yaml",
        ),
        ("modl: {encoder: SampleCNN}", "Did you mean --model.encoder?\nIn: b.yaml"),
        (
            "model: {encoder: SampleCN}",
            "There is no class SampleCN for --model.encoder. Did you mean 'SampleCNN'?\nIn: b.yaml",
        ),
        (
            "data: {init_args: {batch_size: many}}",
            "--data.batch_size takes a whole number, got 'many'.\nIn: b.yaml",
        ),
        (
            "a: [b\nc",
            "The configuration is not valid YAML: expected ',' or ']', but got '<stream "
            "end>'.\nIn: b.yaml, line 2",
        ),
        ("words", "The configuration is not a mapping of names to values.\nIn: b.yaml"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(capsys, tmp_path, text, expected):
    (tmp_path / "b.yaml").write_text(text)
    assert expected in answer(capsys, *RECIPE.split(), "--config", "b.yaml")


def test_as_a_process():
    words = [
        sys.executable,
        "-m",
        "semisupcon",
        "embed",
        "a.wav",
        "--check_point",
        "x",
        "--out",
        "o.npy",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "error: There is no option --check_point. Did you mean --checkpoint?\n"
    assert done.stdout == ""
