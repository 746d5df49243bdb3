"""What has been recorded and not computed: the storages of arrays whose values are graphs still."""

from __future__ import annotations

import weakref

from anygpu.engine.evaluate import evaluate, lock
from anygpu.ir.graph import Node

MOST_PENDING = 256  # operations that are recorded before they are computed unasked: graphs are walked by recursion


class Storage:
    """The elements that an array and its views share. ``node`` is their present value, of any shape: only its C order counts."""

    __slots__ = ("__weakref__", "node")

    def __init__(self, node: Node):
        self.node = node


class _Pending:
    """The storages whose values are recorded and not computed."""

    def __init__(self) -> None:
        self.storages: list[weakref.ref[Storage]] = []

    def add(self, storage: Storage) -> None:
        self.storages.append(weakref.ref(storage))
        if len(self.storages) > MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Compute every recorded value that someone can still see."""
        with lock:
            recorded, self.storages = self.storages, []
            evaluate([storage.node for ref in recorded if (storage := ref()) is not None])


pending = _Pending()
