import os
import sys

import pytest

from mobilenet_lab.runtime.machine import proc_field

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


def test_reads_the_field_of_that_name() -> None:
    assert proc_field("self/status", "Pid") == str(os.getpid())
    assert proc_field("meminfo", "MemTotal").endswith(" kB")  # type: ignore[union-attr]


def test_what_is_not_there_is_none() -> None:
    assert proc_field("self/status", "Pi") is None
    assert proc_field("no such file", "Pid") is None
