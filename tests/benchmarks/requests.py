"""Requests of a sync beside dlt's `rest_api` (see `tests.benchmarks.request_counts`).

    python tests/benchmarks/requests.py --reports 5000 --changed 50

Python puts the folder of a script first on its path, where this file hides the library of the same name.
So it takes the folder off again, and makes way when a script beside it asks for the library.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ in ("__main__", "requests"):
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    sys.exit(import_module("tests.benchmarks.request_counts").main())
if __name__ == "requests":
    del sys.modules["requests"]
    import_module("requests")
