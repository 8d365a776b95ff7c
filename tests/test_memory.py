"""Freed memory is kept by the programs, where the C library can."""

import platform
import subprocess
import sys

import pytest

from faceshield_hf import memory


# Prints how many megabytes of a freed array of 100 MB the process still holds.
HELD = """
import sys, numpy as np
from faceshield_hf.memory import keep_freed_memory
def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
if sys.argv[1] == "kept":
    keep_freed_memory()
before = held()
array = np.ones(100_000_000, np.uint8)
del array
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_large_freed_array_is_kept_only_when_asked():
    held = {
        asked: float(subprocess.run([sys.executable, "-c", HELD, asked], capture_output=True, check=True).stdout)
        for asked in ("kept", "returned")
    }
    assert held["kept"] > 90
    assert held["returned"] < 20


def test_elsewhere_nothing_is_touched(monkeypatch):
    def no_library(name):
        raise AssertionError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.keep_freed_memory()


@pytest.mark.parametrize("library", [None, object()])
def test_another_c_library_is_no_error(monkeypatch, library):
    def load(name):
        if library is None:
            raise OSError(name)
        return library

    monkeypatch.setattr(memory.ctypes, "CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")
    memory.keep_freed_memory()
