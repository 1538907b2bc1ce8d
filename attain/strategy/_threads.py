"""Small matrices on one thread: faster, and the same to the last bit on any number of cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def single_threaded() -> AbstractContextManager[Any]:
    """A context in which linear algebra uses one thread.

    With all cores, matrices of a few hundred rows take up to twenty times longer while other
    workers are busy, and sums come out differently on another machine.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
