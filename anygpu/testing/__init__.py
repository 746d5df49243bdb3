"""The conformance suite, shipped with the package: every case runs on a device and on the interpreter, and must agree bit for bit.

    python -m anygpu.testing --device opencl:0

A new back end has to pass it, and so does a driver under suspicion. It needs pytest and Hypothesis (``pip install 'anygpu[test]'``).
The cases are in ``cases``, one topic a module; ``harness.check`` is what each of them calls.
"""
