"""The project package: settings, URLs, Celery, faults and the launcher."""

import os

# The engines solve many small systems at once; BLAS threads only get in each other's way there (4.4 s against 0.08 s
# for a first block of 64 listeners on two busy cores). Read when numpy is first imported, hence here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
