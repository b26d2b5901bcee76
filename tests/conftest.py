"""What several test files share: a cache of compiled maps for the session, deleted with it, and fixtures."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

# Each worker has a processor of its own: small networks on many threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the controller's
    os.environ["RAVINE_CACHE"] = tempfile.mkdtemp(prefix="ravine-tests-")


def pytest_unconfigure() -> None:
    """Delete the cache when the session ends."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["RAVINE_CACHE"], ignore_errors=True)


@pytest.fixture(scope="module")
def no_optimum() -> Iterator[None]:
    """Leave out the search for optimal settings, which takes longer than a small map and has tests of its own."""
    from ravine.errors import AlgebraError

    def nobody_knows(*_: object, **__: object) -> None:
        raise AlgebraError("left out")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ravine.boundary.algebra.optimum", nobody_knows)
        yield
