"""Builds cmp._cmp from every C file under src/; all that can be said in data is in pyproject.toml."""
import os
import sys
from glob import glob

from setuptools import Extension, setup

if not sys.platform.startswith("linux") or sys.implementation.name != "cpython":
    sys.exit("cmp needs CPython on Linux (it stands on futexes and robust lists); use multiprocessing on this system")

MODES = {
    "release": ["-O2", "-DNDEBUG"],
    "debug": ["-O0", "-g", "-UNDEBUG"],
    "asan": ["-O1", "-g", "-UNDEBUG", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
    "tsan": ["-O1", "-g", "-UNDEBUG", "-fsanitize=thread"],
}
mode = os.environ.get("CMP_BUILD", "release")
if mode not in MODES:
    sys.exit(f"CMP_BUILD={mode!r} is not one of {', '.join(MODES)}")
sanitizers = [flag for flag in MODES[mode] if flag.startswith("-fsanitize")]

setup(ext_modules=[Extension(
    "cmp._cmp",
    sources=sorted(glob("src/*/*.c")),
    depends=sorted(glob("src/*/*.h")),
    extra_compile_args=["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread",
                        *MODES[mode]],
    extra_link_args=["-pthread", *sanitizers],
)])
