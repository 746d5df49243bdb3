"""What has been recorded and not computed: the storages of arrays whose values are graphs still."""

from __future__ import annotations

import weakref

from anygpu.engine.evaluate import evaluate
from anygpu.engine.exclusive import exclusively
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
        with exclusively():
            recorded, self.storages = self.storages, []
            alive = [storage for ref in recorded if (storage := ref()) is not None]
            try:
                evaluate([storage.node for storage in alive])
            except BaseException as error:  # what is left is still pending, in order: later writes must find its readers
                left = [storage for storage in alive if storage.node.place is None]
                self.storages[:0] = map(weakref.ref, left)
                if left and isinstance(error, Exception):
                    largest = max((storage.node for storage in left), key=lambda node: node.size * node.dtype.itemsize)
                    error.add_note(f"of {len(left)} recorded arrays that wait, the largest is {largest.dtype}{list(largest.shape)}")
                raise


pending = _Pending()
