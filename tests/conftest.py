"""A cache of its own for the compiled maps of a test session, shared by its workers and deleted with it."""

import os
import shutil
import tempfile

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the controller's
    os.environ["RAVINE_CACHE"] = tempfile.mkdtemp(prefix="ravine-tests-")


def pytest_unconfigure() -> None:
    """Delete the cache when the session ends."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["RAVINE_CACHE"], ignore_errors=True)
