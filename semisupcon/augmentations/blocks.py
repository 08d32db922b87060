"""Process a batch at once on an accelerator, or in blocks of rows on the CPU.

Large temporary tensors exceed the cache of the CPU and cause page faults. If every small operation
uses all threads, each operation waits for the slowest core, which is slow when loaders use the same
cores. Here, each thread processes whole blocks instead.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def in_blocks(
    work: Callable[[Tensor], None], rows: Tensor, audio: Tensor, block_samples: int
) -> None:
    """Call ``work`` on blocks of the row indices ``rows [n]``.

    Each call may write only to its own rows of ``audio [N, C, T]``. Blocks have similar sizes, at
    most about ``block_samples`` samples. Each block is processed by one thread, so results do not
    depend on the number of threads. Torch's number of threads is restored at the end.
    """
    if len(rows) == 0:
        return
    if audio.device.type != "cpu":
        return work(rows)
    threads = torch.get_num_threads()
    count = -(-len(rows) * audio[0].numel() // block_samples)
    blocks = torch.tensor_split(rows, min(len(rows), -(-count // threads) * threads))
    if threads == 1:
        for block in blocks:
            work(block)
        return
    inference = torch.is_inference_mode_enabled()

    def run(block: Tensor) -> None:
        # Each thread has its own modes. Inference tensors can be modified only in inference mode.
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            work(block)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, blocks))
    finally:
        torch.set_num_threads(threads)


def change_rows(audio: Tensor, rows: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Replace rows ``[n]`` of ``audio [N, C, T]`` in place by the result of ``function``.

    The function computes in float32 or float64.
    """
    x = audio.index_select(0, rows)
    return audio.index_copy_(
        0, rows, function(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)
    )


def check(audio: Tensor, key: Tensor) -> None:
    """Check the inputs of a transform.

    Raises:
        ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are not
            int64 ``[N]``.
    """
    if (
        audio.ndim != 3
        or not audio.is_floating_point()
        or audio.shape[1] == 0
        or audio.shape[2] == 0
    ):
        raise ValueError(
            f"augmentations take floating-point audio [N, C, T] with C, T > 0, got {audio.dtype} "
            f"{list(audio.shape)}"
        )
    if key.shape != audio.shape[:1] or key.dtype != torch.int64:
        raise ValueError(
            f"augmentations take one int64 key a row, got {key.dtype} {list(key.shape)} for "
            f"{len(audio)} rows"
        )
