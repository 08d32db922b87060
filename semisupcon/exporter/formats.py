"""Write a graph as ONNX or as a program of `torch.export`, and run what was written."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from semisupcon.errors import ConfigError, UserError, first_line
from semisupcon.exporter.portable import OPSET, portable

# Format -> name of the file, and the packages that it needs beside torch.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("model.onnx", ("onnx", "onnxscript", "onnxruntime")),
    "torch_export": ("model.pt2", ()),
}
FACTS = "semisupcon.json"  # of a torch_export file: the metadata inside
MOST_BYTES = 2_000_000_000  # of one ONNX file; its format counts bytes in 31 bits
Run = Callable[[Tensor], tuple[Tensor, ...]]


def check_packages(form: str) -> None:
    """Check that the packages of a format are installed.

    Raises:
        UserError: with the missing packages and the pip command.
    """
    needed = FORMATS[form][1]
    if absent := [name for name in needed if find_spec(name) is None]:
        raise UserError(
            f"The format {form} needs packages that are not installed: {', '.join(absent)}.\n"
            f"pip install {' '.join(needed)}"
        )


def trace(graph: nn.Module, shortest: int, example: int, form: str) -> ExportedProgram:
    """Trace a graph for any number of waveforms of any length from ``shortest`` samples on.

    Args:
        graph: module from waveforms ``[N, T]`` to one or two tensors.
        shortest: least number of samples.
        example: number of samples of the example.
        form: "onnx" or "torch_export".

    Raises:
        UserError: if the graph depends on number or length, or has operators that cannot be traced.
    """
    from torch.fx.experimental import _config

    settings: Any = _config

    copy = portable(graph, onnx=form == "onnx")
    batch, samples = Dim("batch", min=1), Dim("samples", min=shortest)
    shapes = ({0: batch, 1: samples},)
    # Without this setting, a program would be valid for lengths of at least two frames only.
    with torch.no_grad(), settings.patch(backed_size_oblivious=True), quiet(form):
        program = torch.export.export(
            copy, (torch.zeros(2, example),), dynamic_shapes=shapes, strict=False
        )
    for node in program.graph.nodes:  # with paths of this machine
        node.meta.pop("stack_trace", None)
    return program


def content(program: ExportedProgram, form: str, about: Mapping[str, Any]) -> bytes:
    """Return the content of a file with a traced program and its metadata.

    Args:
        program: result of `trace`.
        form: "onnx" or "torch_export".
        about: metadata of plain types; ``outputs`` are the names of the outputs.
    """
    if form == "torch_export":
        written = io.BytesIO()
        with quiet(form):
            torch.export.save(program, written, extra_files={FACTS: json.dumps(about)})
        return written.getvalue()
    if (size := sum(t.nbytes for t in program.state_dict.values())) > MOST_BYTES:
        raise ConfigError(
            f"The weights have {size / 1e9:.1f} GB; an ONNX file holds at most 2 GB.\n"
            "Give --format torch_export."
        )
    with quiet(form):
        made = torch.onnx.export(
            program, dynamo=True, verbose=False, opset_version=OPSET, external_data=False
        )
    assert made is not None  # without a path, the exporter returns the program
    model = made.model_proto
    graphs = [model.graph, *model.functions]
    for part in (node for graph in graphs for node in graph.node):
        del part.metadata_props[:]  # with paths of this machine
        part.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        del value.metadata_props[:]
    name_ends(model.graph, list(about["outputs"]))
    del model.metadata_props[:]
    for name, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value if isinstance(value, str) else json.dumps(value)
    return model.SerializeToString()


def name_ends(graph: Any, outputs: list[str]) -> None:
    """Name the outputs of an ONNX graph, and its dimensions ``batch`` and ``samples``."""
    new = dict(zip([value.name for value in graph.output], outputs, strict=True))
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = new.get(name, name)
    for value in graph.output:
        value.name = new[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for dim, name in zip(
        graph.input[0].type.tensor_type.shape.dim, ("batch", "samples"), strict=True
    ):
        dim.dim_param = name
    # Further shapes would keep the names that were given before.
    del graph.value_info[:]


def runner(content: bytes, form: str) -> Run:
    """Return a function that runs the content of a file on waveforms ``[N, T]``."""
    if form == "torch_export":
        with quiet(form):
            module = torch.export.load(io.BytesIO(content)).module()

        def run(waveforms: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                found = module(waveforms)
            return found if isinstance(found, tuple) else (found,)

        return run
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def run_onnx(waveforms: Tensor) -> tuple[Tensor, ...]:
        found = session.run(None, {session.get_inputs()[0].name: waveforms.numpy()})
        return tuple(map(torch.from_numpy, found))

    return run_onnx


@contextmanager
def quiet(form: str) -> Iterator[None]:
    """Silence the exporters' notes in a ``with`` block, and convert their errors.

    Raises:
        UserError: for any error of the exporters.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UserError(
            f"The encoder cannot be exported as {form}: {first_line(cause, 300)}\n"
            "--format safetensors exports every encoder."
        ) from error
    finally:
        logging.disable(before)
