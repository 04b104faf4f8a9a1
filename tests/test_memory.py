"""Tests that workers do not keep memory that the main process has freed."""

import subprocess
import sys

import pytest

RUN = """
import multiprocessing
import torch
from uap.data.workers import start_worker
from uap.utils.memory import keep_freed_memory

def allocate(): return [torch.ones(2**20) for _ in range(64)]  # 256 MiB, as a step allocates and frees

def work(ready, done):
    start_worker(0)
    ready.set()
    done.wait()

keep_freed_memory()
allocate()
context = multiprocessing.get_context("fork")
ready, done = context.Event(), context.Event()
worker = context.Process(target=work, args=(ready, done))
worker.start()
ready.wait()
again = allocate()  # reuses the freed memory; a worker that still maps it would get its own copy
print(open(f"/proc/{worker.pid}/smaps_rollup").read())
done.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_worker_does_not_keep_freed_memory() -> None:
    run = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True, timeout=60)
    private = [int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("Private")]
    assert 0 < sum(private) < 100 * 1024  # KiB
