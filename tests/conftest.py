"""One thread for every test and for the processes it starts: the arrays are tiny, and the tests run side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, faiss and BLAS are first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
