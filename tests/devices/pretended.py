"""A GPU without a GPU: tensors that report ``cuda:0`` and compute on the CPU, and a recorder of
what a GPU would have had to do for them.

What slows a training step on a GPU, beside arithmetic, can be counted without one: kernels, waits
of the host, tensors of two devices that meet. A test puts modules and batches on the pretended
device and runs them forward and backward::

    with Recorder() as recorder:
        losses = criterion.losses(to_pretended(batch), Encode(encoder))
        losses["loss"].backward()
    assert not recorder.mismatches and not recorder.syncs and recorder.launches < 400

How it counts:
    - An operator of ATen that runs on the device is one launch; views and allocations are none; the
      backward pass of a convolution is one for each gradient. CUDA may split an operator into more
      kernels (sums over long rows, sorts) or fuse none: this is a measure, not a trace.
    - A recurrent layer is one launch for each time step forwards and two backwards, as cuDNN does
      without its persistent algorithms.
    - A copy between host and device that may block is a synchronisation; a non-blocking one to the
      device is not, pinned or not.
    - Each is reported with the line of the package that asks for it, or ``autograd`` in the
      backward pass.

Compiled kernels (Triton) cannot run here: `standing_in` replaces the Python function that launches
one.
"""

import collections
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

import semisupcon

PACKAGE = str(Path(semisupcon.__file__).parent)
DEVICE = torch.device("cuda", 0)

# Operators whose result, or the shape of it, the host must know.
WAITING = {
    *("_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "histc"),
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "_linalg_svd",
    "_linalg_eigh",
    "linalg_lstsq",
}
INDEXING = {
    "index",
    "index_put",
    "index_put_",
    "_index_put_impl_",
    "_unsafe_index",
    "_unsafe_index_put",
}
COPYING = {"_to_copy", "copy_", "copy"}
# Operators that only make room for, or another name of, a tensor.
NO_KERNEL = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "detach",
    "alias",
    "lift_fresh",
    *("view", "_unsafe_view", "_reshape_alias", "unfold", "resize_", "set_"),
}


class Pretended(torch.Tensor):
    """A tensor on the pretended device; ``held`` has its numbers, on the CPU.

    To PyTorch's own code it lies on the device ``meta``, whose backward passes need no threads and
    streams of a driver that is not there.
    """

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        layout = {
            "strides": held.stride(),
            "storage_offset": held.storage_offset(),
            "dtype": held.dtype,
        }
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, device=torch.device("meta"), **layout
        )
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, None)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Pretended({self.held})"

    def tolist(self) -> Any:
        """As PyTorch: a copy that waits."""
        return self.cpu().tolist()

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        """As PyTorch: made on the host, then copied, which waits."""
        return torch.tensor(
            data, dtype=dtype or self.dtype, device=device or DEVICE, requires_grad=requires_grad
        )


def plain(tree: Any) -> Any:
    """Tensors of the CPU in place of pretended ones, without being counted."""
    return tree_map(lambda x: x.held if isinstance(x, Pretended) else x, tree)


def wrapped(tree: Any) -> Any:
    """Pretended tensors in place of those of the CPU, without being counted."""
    return tree_map(
        lambda x: (
            Pretended(x.detach()) if isinstance(x, Tensor) and not isinstance(x, Pretended) else x
        ),
        tree,
    )


def to_pretended(x: Any) -> Any:
    """A tensor or a tree of them (a batch) on the pretended device; a module is moved in place.
    Nothing of it is counted."""
    if not isinstance(x, nn.Module):
        return wrapped(x)
    seen: dict[int, nn.Parameter] = {}
    for module in x.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and not isinstance(parameter, Pretended):
                moved = seen.setdefault(
                    id(parameter),
                    nn.Parameter(Pretended(parameter.detach()), parameter.requires_grad),
                )
                setattr(
                    module, name, moved
                )  # not into the dictionary: recurrent layers keep a list of their own
        for name, buffer in module._buffers.items():
            module._buffers[name] = wrapped(buffer)
    return x


def run(func: Any, args: Any, kwargs: dict[str, Any], recorder: "Recorder | None") -> Any:
    """One operator on the numbers, with its result on the device where it belongs."""
    name = func._schema.name.removeprefix("aten::")
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    device = kwargs.get("device")
    if device is not None:
        on_device = torch.device(device).type in ("cuda", "meta")
    else:
        on_device = (
            isinstance(args[0], Pretended)
            if name == "copy_"
            else any(isinstance(x, Pretended) for x in tensors)
        )
    if (
        name == "_to_copy"
        and on_device
        and isinstance(args[0], Pretended)
        and kwargs.get("dtype") in (None, args[0].dtype)
    ):
        return args[0]
    if recorder is not None:
        recorder.note(func, name, args, kwargs, tensors, on_device)
    given = {
        key: value
        for key, value in kwargs.items()
        if key not in ("device", "pin_memory", "non_blocking")
    }
    if device is not None:
        given["device"] = torch.device("cpu")
    result = func(*plain(args), **plain(given))
    if (written := written_argument(func, args, kwargs)) is not None:
        return written
    return wrapped(result) if on_device else result


def written_argument(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operator in place, or with ``out``, returns: the very argument that it has written
    to. None for others."""
    returns = func._schema.returns
    if len(returns) != 1 or returns[0].alias_info is None or not returns[0].alias_info.is_write:
        return None
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            return args[i] if i < len(args) else kwargs.get(argument.name)
    return None


class Recorder(TorchDispatchMode):
    """Counts what runs on the pretended device within its block.

    Attributes:
        launches: kernels.
        syncs: ``{(operator, line): times}`` that the host waits for the device.
        mismatches: ``{(operator, line): times}`` that tensors of both devices meet, where PyTorch
            would raise.
        copies: ``{(operator, line): times}`` of copies that the host does not wait for.
        operators: ``{name: times}`` of what ran on the device, without the overload.
        lines: ``{line: launches}``.
    """

    current: "Recorder | None" = None

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.syncs, self.mismatches, self.copies, self.operators, self.lines = (
            collections.Counter() for _ in range(5)
        )
        self._within_kernel = False

    def __enter__(self) -> "Recorder":
        self._open = contextlib.ExitStack()
        self._open.enter_context(mock.patch("torch.cuda._lazy_init"))
        self._open.enter_context(
            mock.patch("torch.tensor", functools.partial(_made_on_host, torch.tensor))
        )
        self._open.enter_context(
            mock.patch("torch.as_tensor", functools.partial(_made_on_host, torch.as_tensor))
        )
        self._open.enter_context(
            mock.patch.object(torch._VF, "gru", functools.partial(_gru, torch._VF.gru), create=True)
        )
        self._open.enter_context(mock.patch.object(Recorder, "current", self))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._open.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, self)

    def note(
        self, func: Any, name: str, args: Any, kwargs: dict, tensors: list[Tensor], on_device: bool
    ) -> None:
        """Count one operator."""
        if self._within_kernel:
            return
        there, here = (
            [x for x in tensors if isinstance(x, Pretended) is side] for side in (True, False)
        )
        if there or on_device:
            if wait := self._waits(func, name, args, kwargs, there, here, on_device):
                self.syncs[wait, asked_at()] += 1
            if there and name not in COPYING and self._meets(name, args, here):
                self.mismatches[name, asked_at()] += 1
        if on_device and not func.is_view and name not in NO_KERNEL:
            self.operators[name] += 1
            self.launched(sum(args[-1]) if name == "convolution_backward" else 1)

    def _waits(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: dict,
        there: list,
        here: list,
        on_device: bool,
    ) -> str | None:
        """Why the host waits for this operator; None if it does not."""
        if name in COPYING:
            crossed = (bool(there) != on_device) if name == "_to_copy" else bool(there and here)
            if crossed and on_device and (kwargs.get("non_blocking") or args[2:3] == (True,)):
                self.copies[name, asked_at()] += 1
                return None
            return f"copy {'to' if on_device else 'from'} the device" if crossed else None
        if there and (
            name in WAITING
            or (
                func._schema.name == "aten::repeat_interleave" and kwargs.get("output_size") is None
            )
        ):
            return name
        if name in INDEXING:
            indices = [i for i in args[1] if i is not None]
            if any(
                i.dtype in (torch.bool, torch.uint8) and isinstance(i, Pretended) for i in indices
            ):
                return f"{name} by a mask"
            if isinstance(args[0], Pretended) and any(
                i.dim() > 0 and not isinstance(i, Pretended) for i in indices
            ):
                return f"{name} by indices of the host"
        return None

    @staticmethod
    def _meets(name: str, args: Any, here: list[Tensor]) -> bool:
        """Whether PyTorch would refuse the tensors of the host; numbers in tensors without
        dimensions are taken along with the launch."""
        if name in INDEXING:
            return not isinstance(args[0], Pretended) or any(
                x.dim() > 0 for x in here if not any(x is i for i in args[1])
            )
        return any(x.dim() > 0 for x in here)

    def launched(self, kernels: int = 1) -> None:
        """Count kernels."""
        if not self._within_kernel:
            self.launches += kernels
            self.lines[asked_at()] += kernels

    @contextlib.contextmanager
    def kernel(self, name: str, launches: int = 1) -> Iterator[None]:
        """What runs in the block is one kernel of our own (or so many), and is counted as that
        alone."""
        self.operators[name] += 1
        self.launched(launches)
        before, self._within_kernel = self._within_kernel, True
        try:
            yield
        finally:
            self._within_kernel = before


def standing_in(name: str, function: Callable[..., Any], launches: int = 1) -> Callable[..., Any]:
    """A function of the same arguments that computes by ``function`` on the CPU and counts as one
    kernel, without gradient.

    For ``monkeypatch.setattr`` in place of what launches a compiled kernel.
    """

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        recorder = Recorder.current
        with (
            recorder.kernel(name, launches) if recorder else contextlib.nullcontext(),
            _disable_current_modes(),
        ):
            return wrapped(function(*plain(args), **plain(kwargs)))

    return counted


def asked_at() -> str:
    """File and line of the innermost caller within the package; ``autograd`` where there is
    none."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{frame.f_code.co_filename[len(PACKAGE) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "autograd"


def _made_on_host(
    make: Callable[..., Tensor], data: Any, *args: Any, device: Any = None, **kwargs: Any
) -> Tensor:
    """``torch.tensor`` and ``torch.as_tensor``: on the host first, then a copy that waits."""
    there = device is not None and torch.device(device).type == "cuda"
    made = (
        data
        if isinstance(data, Pretended)
        else make(data, *args, device=None if there else device, **kwargs)
    )
    return made.to(DEVICE) if there else made


class _Recurrent(torch.autograd.Function):
    """A recurrent layer, which PyTorch would otherwise take apart into cells."""

    @staticmethod
    def forward(ctx: Any, compute: Callable, steps: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.steps = steps
        if recorder := Recorder.current:
            recorder.operators["recurrent layer"] += 1
            recorder.launched(steps)
        with _disable_current_modes(), torch.enable_grad():
            ctx.inputs = [x.detach().requires_grad_() for x in plain(tensors)]
            ctx.outputs = compute(*ctx.inputs)
        return wrapped(ctx.outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if recorder := Recorder.current:
            recorder.launched(2 * ctx.steps)
        with _disable_current_modes():
            found = torch.autograd.grad(ctx.outputs, ctx.inputs, plain(grads), allow_unused=True)
        return None, None, *wrapped(found)


def _gru(
    compute: Callable, x: Tensor, state: Tensor, weights: list[Tensor], *options: Any
) -> tuple[Tensor, ...]:
    if not isinstance(x, Pretended):
        return compute(x, state, weights, *options)
    return _Recurrent.apply(
        lambda x, h, *w: compute(x, h, list(w), *options),
        x.shape[1 if options[-1] else 0],
        x,
        state,
        *weights,
    )
