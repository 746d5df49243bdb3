"""The completeness grid (``anygpu.testing.grid``): a cell that is empty says why."""

from __future__ import annotations

import pytest

from anygpu.engine.compile import run_passes
from anygpu.errors import CompileError
from anygpu.testing.grid import COLUMNS, UNSUPPORTED, how, rows


@pytest.mark.parametrize("column", COLUMNS)
def test_every_cell_is_filled_or_says_why(column):
    empty = []
    for name, given in rows():
        reason = UNSUPPORTED.get((column, name))
        try:
            COLUMNS[column](run_passes(given))
        except CompileError as error:
            if reason is None or reason not in str(error):
                empty.append(f"{name}: {error}")
        else:
            if reason is not None:
                empty.append(f"{name}: works, but is said not to")
    assert not empty, "\n".join(empty)


def test_atomics_without_an_instruction_are_loops():
    found = {name: how("spirv", name, run_passes(given)) for name, given in rows() if name.startswith("atomic add")}
    assert found["atomic add int32 global"] == found["atomic add float32 local"] == "yes"
    assert found["atomic add float32 global"] == "loop"
