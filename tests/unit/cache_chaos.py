"""Eight processes on one cache folder, killed at random while they read, write, evict and vandalise. Prints what happened as JSON.

    python cache_chaos.py FOLDER SECONDS

A script of its own, so that its forks come from a process without threads. `test_cache.py` runs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path

from anygpu.runtime.cache import DiskCache

WORKERS = 8
KEYS = 60
LIMIT = 2 * 1024**2  # about half of all the payloads, so that eviction goes on all the time
COUNTS = ("hits", "misses", "puts", "vandalised", "wrong")


def key(number: int) -> str:
    return hashlib.sha256(b"key %d" % number).hexdigest()


def payload(number: int) -> bytes:
    size = number * 7919 % 150_000 + 1
    return (hashlib.sha512(b"payload %d" % number).digest() * (size // 64 + 1))[:size]


def vandalise(path: Path, chance: random.Random) -> None:
    """Cut an entry off or change one byte of it, in place, under the eyes of its readers."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if chance.random() < 0.5:
            file.truncate(chance.randrange(size) if size else 0)
        elif size:
            file.seek(chance.randrange(size))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1 << chance.randrange(8)]))


def work(folder: Path, counts: memoryview) -> None:
    """One worker, for ever. ``counts`` are its own counters, in memory that outlives it."""
    cache = DiskCache(folder, LIMIT)
    chance = random.Random(os.urandom(8))
    while True:
        number = chance.randrange(KEYS)
        action = chance.random()
        if action < 0.55:
            data = cache.get(key(number))
            outcome = "misses" if data is None else "hits" if data == payload(number) else "wrong"
        elif action < 0.95:
            cache.put(key(number), payload(number))
            outcome = "puts"
        else:
            vandalise(folder / key(number), chance)
            outcome = "vandalised"
        counts[COUNTS.index(outcome)] += 1


def start(folder: Path, counts: memoryview) -> int:
    child = os.fork()
    if child == 0:
        try:
            work(folder, counts)
        finally:  # only by an exception, which would be a fault of the cache
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return child


def main(folder: Path, seconds: float) -> None:
    shared = memoryview(mmap.mmap(-1, WORKERS * len(COUNTS) * 8)).cast("Q")
    slots = [shared[n * len(COUNTS) : (n + 1) * len(COUNTS)] for n in range(WORKERS)]
    workers = [start(folder, slot) for slot in slots]
    killed = crashed = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(random.uniform(0, 0.015))
        n = random.randrange(WORKERS)
        os.kill(workers[n], signal.SIGKILL)
        status = os.waitpid(workers[n], 0)[1]
        killed += 1
        crashed += not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
        workers[n] = start(folder, slots[n])
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        crashed += os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) != -signal.SIGKILL
    result = {name: sum(slot[n] for slot in slots) for n, name in enumerate(COUNTS)}
    cache = DiskCache(folder, LIMIT)
    survivors = [(number, cache.get(key(number))) for number in range(KEYS)]
    result["survivors"] = sum(data is not None for _, data in survivors)
    result["wrong"] += sum(data is not None and data != payload(number) for number, data in survivors)
    result["leftovers"] = len(list(folder.glob(".*.tmp")))
    print(json.dumps({**result, "killed": killed, "crashed": crashed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
