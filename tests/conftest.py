"""One thread for every test and for the processes it starts: the arrays are tiny, and the tests run side by side."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, faiss and BLAS are first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Receive Ctrl-C: a shell starts background jobs with it ignored, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
