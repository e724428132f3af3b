"""The stubs: they fit the package, and a type checker that reads them accepts what is right and nothing else."""
import importlib.util
import pathlib
import subprocess
import sys

import pytest

import cmp

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(cmp.__file__).parent
WITHOUT_STUB = {"__main__", "info"}

needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def mypy(*arguments, cwd):
    return subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True,
                          env={"MYPYPATH": str(PACKAGE.parent), "PYTHONPATH": str(PACKAGE.parent),
                               "MYPY_CACHE_DIR": str(cwd)})


def test_every_public_module_has_a_stub():
    for path in PACKAGE.rglob("*.py"):
        if not path.stem.startswith("_") and path.stem not in WITHOUT_STUB:
            assert path.with_suffix(".pyi").exists(), path
    assert (PACKAGE / "__init__.pyi").exists() and (PACKAGE / "dummy" / "__init__.pyi").exists()
    assert (PACKAGE / "py.typed").exists()


@needs_mypy
@pytest.mark.limit(300)
def test_a_program_with_the_whole_api_passes(tmp_path):
    ran = mypy("mypy", "--strict", str(HERE / "typed_program.py"), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


WRONG = {
    "cmp.Queue(maxsize='many')": "arg-type",
    "cmp.Process(targets=print)": "call-arg",
    "cmp.Lock().acquire(wait=True)": "call-arg",
    "cmp.get_context('fork').Proces()": "attr-defined",
    "cmp.set_forkserver_preload(['json'], on_error='never')": "arg-type",
    "cmp.pool.Pool(processes=2, context='fork')": "arg-type",
    "x: int = cmp.Manager().list(['a'])[:]": "assignment",
    "cmp.Manager().set(['a']).add(1)": "arg-type",
    "cmp.install(1)": "call-arg",
    "cmp.nothing()": "attr-defined",
}


@needs_mypy
@pytest.mark.limit(300)
def test_wrong_calls_are_rejected(tmp_path):
    program = tmp_path / "wrong.py"
    program.write_text("import cmp\nimport cmp.pool\n" + "".join(f"{line}\n" for line in WRONG))
    ran = mypy("mypy", "--strict", "--no-error-summary", "--hide-error-context", str(program), cwd=tmp_path)
    found = {int(line.split(":")[1]): line.rpartition("[")[2].rstrip("]") for line in ran.stdout.splitlines()
             if ": error: " in line}
    assert found == dict(enumerate(WRONG.values(), 3)), ran.stdout


@needs_mypy
@pytest.mark.limit(300)
def test_the_stubs_fit_the_package(tmp_path):
    ran = mypy("mypy.stubtest", "cmp", "--concise", "--allowlist", str(HERE / "stubtest_allowlist.txt"),
               "--ignore-unused-allowlist", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
