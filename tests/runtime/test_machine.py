import os
import sys

import pytest

from mobilenet_lab.runtime.machine import proc_field

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def test_proc_field_is_read_by_its_full_name() -> None:
    assert proc_field("self/status", "Pid") == str(os.getpid())
    assert proc_field("meminfo", "MemTotal").endswith(" kB")  # type: ignore[union-attr]


def test_missing_proc_field_is_none() -> None:
    assert proc_field("self/status", "Pi") is None
    assert proc_field("no such file", "Pid") is None
