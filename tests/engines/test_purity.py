"""The engine room stands alone."""

import subprocess
import sys

HEAVY = ("django", "celery", "redis", "rest_framework", "accounts", "catalog", "listening", "skopt")


def test_importing_the_engines_loads_no_web():
    code = (
        "import sys, recommender.engines, recommender.engines.artefacts; "
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded)
