"""What Ctrl-C does while work must not be torn apart."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_interrupt(act: Callable[..., Any]) -> Iterator[None]:
    """Do something else on Ctrl-C than end the program while the block runs; only in the main thread is it ours."""
    try:
        before = signal.signal(signal.SIGINT, act)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C while the block runs, so that a plan that was found is written."""
    with on_interrupt(lambda *_: None):
        yield
