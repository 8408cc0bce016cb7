"""What is fitted multiplies in one thread, also by libraries that are loaded while it runs."""

from __future__ import annotations

import json
import subprocess
import sys

WHAT = """
import json, sys
from threadpoolctl import threadpool_info
from training.one_thread import one_thread
import training.fit.from_recordings
before = "scipy.linalg" in sys.modules, [pool["num_threads"] for pool in threadpool_info()]
with one_thread():
    import scipy.linalg, scipy.optimize
    inside = [pool["num_threads"] for pool in threadpool_info()]
print(json.dumps([before, inside, [pool["num_threads"] for pool in threadpool_info()]]))
"""


def test_a_blas_that_is_loaded_late_has_one_thread_too():
    four = {"OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4"}
    found = subprocess.run([sys.executable, "-c", WHAT], env=four, capture_output=True, check=True, text=True)
    (loaded, before), inside, after = json.loads(found.stdout)
    assert not loaded, "scipy is loaded with the module already: this test proves nothing"
    assert len(inside) >= 2
    assert set(inside) == {1}
    assert set(after) == set(before)
