"""The programs in docs/shared-memory.md run, and print what their comments say."""
import pathlib
import re

import pytest
from crew import run_program

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "shared-memory.md"
PROGRAMS = re.findall("```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program(tmp_path, number):
    if "numpy" in PROGRAMS[number]:
        pytest.importorskip("numpy")
    printed = run_program(tmp_path, PROGRAMS[number])
    promised = re.findall(r"^ *print\(.*\)  # prints (.*)", PROGRAMS[number], re.M)
    for line, promise in zip(printed, promised, strict=True) if promised else ():
        assert re.fullmatch(re.escape(promise).replace(r"\.\.\.", ".*"), line)
