"""A pool of processes that play the ranks of distributed training over gloo; started once, used by
all tests that ask for it."""

import multiprocessing
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

MOST = 3
PATIENCE = 600


class Ranks:
    """Up to three ranks. Each call is a process group of its own."""

    def __init__(self):
        # One server pays for the imports; the ranks are forked from it before anything has started
        # a thread.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch.distributed", "semisupcon.objectives"])
        self.folder = tempfile.TemporaryDirectory()
        self.calls, self.pipes, self.processes = 0, [], []
        for rank in range(MOST):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, theirs), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def __call__(self, world: int, function: Callable, *args) -> list:
        """What ``function(rank, world, *args)`` returns on each rank; arguments and results are
        plain types or numpy arrays."""
        self.calls += 1
        store = str(Path(self.folder.name) / str(self.calls))
        for pipe in self.pipes[:world]:
            pipe.send((world, store, function, args))
        answers = [
            pipe.recv() if pipe.poll(PATIENCE) else ("failed", f"no answer in {PATIENCE} s")
            for pipe in self.pipes[:world]
        ]
        if failures := [
            f"rank {rank}: {answer}"
            for rank, (state, answer) in enumerate(answers)
            if state == "failed"
        ]:
            raise RuntimeError("\n".join(failures))
        return [answer for _, answer in answers]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()
            process.join()
        self.folder.cleanup()


def _serve(rank: int, pipe) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    while True:
        world, store, function, args = pipe.recv()
        try:
            dist.init_process_group(
                "gloo", init_method=f"file://{store}", rank=rank, world_size=world
            )
            pipe.send(("done", function(rank, world, *args)))
        except Exception:
            pipe.send(("failed", traceback.format_exc()))
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
