"""The flat path among threads and processes, and what it holds after many steps."""

import gc
import subprocess
import sys
import threading
import tracemalloc

import torch
from torch import Tensor, nn

from momenta import assert_same, one_thread  # noqa: F401
from ravine.torch import Momentum


def test_threads_may_step_optimizers_at_once() -> None:
    """Four threads with an optimizer each, large enough to be stepped in parallel, end where one after another ends."""
    torch.set_num_threads(2)
    starts = [torch.randn(70_000) for _ in range(4)]
    ps = [nn.Parameter(start.clone()) for start in starts]

    def run(p: Tensor) -> None:
        optimizer = Momentum([p], 0.1, 0.9, flat=True)
        for _ in range(20):
            p.grad = p.detach().sign()
            optimizer.step()

    threads = [threading.Thread(target=run, args=(p,)) for p in ps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.set_num_threads(1)
    for p, start in zip(ps, starts, strict=True):
        alone = nn.Parameter(start)
        run(alone)
        assert_same([p], [alone])


FORKED = """
import multiprocessing, torch
from ravine.torch import Momentum
torch.set_num_threads(2)
p = torch.nn.Parameter(torch.randn(70_000))
optimizer = Momentum([p], 0.1, 0.9, flat=True)
p.grad = torch.ones_like(p)
optimizer.step()
here, there = multiprocessing.Pipe()
def child():  # a step and nothing else: torch's own threads do not survive a fork
    optimizer.step()
    there.send(p.detach().numpy().tobytes())
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
assert here.poll(60), "the child hangs"
found = here.recv()
process.join(10)
torch.set_num_threads(1)
optimizer.step()
print(found == p.detach().numpy().tobytes())
"""


def test_a_forked_child_steps() -> None:
    """After steps in parallel a child of a process steps too, and to the bit as the parent."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "True"


def test_steps_leave_no_memory_behind() -> None:
    """200 steps with a changing lr, gradients that are replaced and some that are absent: what is held does not grow."""
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = Momentum(model.parameters(), 0.1, 0.9, flat=True)

    def steps() -> int:
        for t in range(200):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + t)
            if t % 7 == 0:
                model.zero_grad(set_to_none=t % 2 == 0)
            model(torch.ones(1, 6)).sum().backward()
            if t % 5 == 0:
                model[0].bias.grad = None
            optimizer.step()
            optimizer.zero_grad()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = steps()
        assert steps() - before < 20_000
    finally:
        tracemalloc.stop()
