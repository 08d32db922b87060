"""How a batch is worked through: at once on an accelerator, in blocks of rows by a few threads on the CPU.

Large temporaries leave the cache and cost page faults. And a parallel region in every small operation waits, each time, for the slowest core,
which collapses as soon as loaders use the same cores; whole blocks side by side do not.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def in_blocks(work: Callable[[Tensor], None], rows: Tensor, audio: Tensor, block_samples: int) -> None:
    """Call ``work`` on the row numbers ``rows [n]``, a block at a time; each call may write to its own rows of ``audio [N, C, T]`` only.

    Blocks hold about ``block_samples`` samples and are of like size. Meanwhile torch works with one thread in each, so results do not depend on
    the number of threads; that number is set again at the end.
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
        # These modes belong to a thread; a tensor made in inference mode can only be written in it.
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            work(block)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, blocks))
    finally:
        torch.set_num_threads(threads)


def check(audio: Tensor, key: Tensor) -> None:
    """Refuse what no transform can take.

    Raises:
        ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are not int64 ``[N]``.
    """
    if audio.ndim != 3 or not audio.is_floating_point() or audio.shape[1] == 0 or audio.shape[2] == 0:
        raise ValueError(f"augmentations take floating-point audio [N, C, T] with C, T > 0, got {audio.dtype} {list(audio.shape)}")
    if key.shape != audio.shape[:1] or key.dtype != torch.int64:
        raise ValueError(f"augmentations take one int64 key a row, got {key.dtype} {list(key.shape)} for {len(audio)} rows")
