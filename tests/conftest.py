"""What every test relies on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # A shell starts background jobs with Ctrl-C ignored, and child processes inherit that: `.ci/run &` would make every
    # test of an interrupt wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)
