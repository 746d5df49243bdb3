"""Every code has a name, a meaning and a remedy, and the exception shows them."""

import pytest

from anygpu import errors
from anygpu.drivercodes import TABLES
from anygpu.errors import DeviceLostError, DriverError
from anygpu.runtime import faults


@pytest.mark.parametrize("row", [row for table in TABLES.values() for row in table.values()], ids=lambda row: f"{row.api}:{row.name}")
def test_rows_are_whole(row):
    assert row.name
    for text in (row.meaning, row.remedy):
        assert text and text == text.strip() and not text.endswith(".")


def test_names_are_unique():
    for table in TABLES.values():
        assert len({row.name for row in table.values()}) == len(table)


def test_explain():
    assert errors.explain("cuda", 2).name == "CUDA_ERROR_OUT_OF_MEMORY"
    assert errors.explain("hip", 2).name == "hipErrorOutOfMemory"
    assert errors.explain("opencl", -54).remedy == "compare the grid, block and shared memory with device.properties"
    assert errors.explain("cuda", 123456).meaning == "a code that anygpu does not know"
    with pytest.raises(ValueError, match="api is one of cuda, hip, opencl, cublas, cufft, hipblas, hipfft, not 'metal'"):
        errors.explain("metal", 1)


def test_the_text_of_a_driver_error():
    error = faults.failure(None, "opencl", -54, "clEnqueueNDRangeKernel", "kernel f, grid (1, 1, 1), block (9000, 1, 1)")
    assert isinstance(error, DriverError) and not isinstance(error, DeviceLostError)
    assert (error.api, error.code, error.name, error.call) == ("opencl", -54, "CL_INVALID_WORK_GROUP_SIZE", "clEnqueueNDRangeKernel")
    assert str(error) == (
        "OpenCL: clEnqueueNDRangeKernel failed with CL_INVALID_WORK_GROUP_SIZE: the block is larger than the device or the kernel allows\n"
        "  kernel f, grid (1, 1, 1), block (9000, 1, 1)\n"
        "  hint: compare the grid, block and shared memory with device.properties"
    )
