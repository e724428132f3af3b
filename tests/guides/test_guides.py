"""Programs as the guides to multiprocessing write them, under the standard library and under cmp.

Each script of scripts/ runs as `python SCRIPT` and as `python -m cmp SCRIPT`, in an empty folder, unchanged and then
with each start method set in the first line of its guard. Both runs have to print the same lines, end with the same
status and, where there is a traceback, with the same exception; cmp's leaves no process and nothing in /dev/shm.
"""
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid
from typing import NamedTuple

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPTS = {path.stem: path for path in sorted((HERE / "scripts").glob("*.py"))}
METHODS = "default", "fork", "spawn", "forkserver"
CHOOSE_THEMSELVES = {"010_start_methods", "011_set_start_method", "014_unguarded"}  # their start methods
STATUS = {"080_pool_sigint": 3}
GUARD = 'if __name__ == "__main__":\n'
MARK = "CMP_GUIDE_RUN"  # in the environment of a run's processes: how those in another session are found
LIMIT = 60  # seconds for one run
GRACE = 10  # seconds for the helpers of a run to end after it

pytestmark = pytest.mark.limit(2 * (LIMIT + 2 * GRACE) + 10)  # a test is two runs

CASES = [(name, method) for name in SCRIPTS for method in METHODS
         if method == "default" or name not in CHOOSE_THEMSELVES]


class Run(NamedTuple):
    status: int
    stdout: str
    stderr: str
    processes: list
    segments: list

    @property
    def exception(self):
        """The name of the last exception on stderr, None without one."""
        kinds = r"^([A-Za-z_][\w.]*(?:Error|Exception|Empty|Full|Interrupt|Exit))\b"
        names = re.findall(kinds, self.stderr, re.MULTILINE)
        return names[-1].rpartition(".")[2] if names else None


def processes_of(session, mark):
    """pid -> command of the living processes in this session or with this mark."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, sid = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX" and (int(sid) == session or mark in (folder / "environ").read_bytes()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace")
        except OSError:
            pass  # ended meanwhile, or not ours
    return found


def segments():
    return set(os.listdir("/dev/shm"))


def in_use(names):
    """Those of the segments that some process still maps: other programs run on this machine, too."""
    used = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/maps"):
        try:
            used.update(re.findall(r"/dev/shm/(.+?)(?: \(deleted\))?$", path.read_text(errors="replace"), re.MULTILINE))
        except OSError:
            pass
    return names & used


def until_empty(find):
    """What find() still finds when the grace is over."""
    deadline = time.monotonic() + GRACE
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def run(command, folder, paths=()):
    """One run to its end; a run beyond the limit is killed, with all its processes, and fails the test."""
    cwd = folder / "cwd"
    cwd.mkdir()
    mark = f"{MARK}={uuid.uuid4().hex}"
    environment = dict(os.environ, PYTHONIOENCODING="utf-8", **dict([mark.split("=")]))
    environment.pop("PYTHONUNBUFFERED", None)
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    before = segments()
    with open(folder / "stdout", "wb") as stdout, open(folder / "stderr", "wb") as stderr:
        process = subprocess.Popen([sys.executable, *command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            process.wait(LIMIT)
            left = until_empty(lambda: processes_of(process.pid, mark.encode()))
            hung = False
        except subprocess.TimeoutExpired:
            left, hung = processes_of(process.pid, mark.encode()), True
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
    output, errors = [(folder / name).read_text("utf-8", "replace") for name in ("stdout", "stderr")]
    if hung:
        pytest.fail(f"{' '.join(command)}: still running after {LIMIT} s\nprocesses: {left}\n{output}\n{errors}")
    mine = segments() - before and until_empty(lambda: (new := segments() - before) - in_use(new))
    return Run(process.returncode, output, errors, sorted(left.values()), sorted(mine))


def prepared(name, method, folder):
    """The script itself, or a copy that sets the start method before anything else."""
    if method == "default":
        return SCRIPTS[name]
    source = SCRIPTS[name].read_text("utf-8")
    assert source.count(GUARD) == 1
    lines = f"    import multiprocessing\n    multiprocessing.set_start_method({method!r}, force=True)\n"
    copy = folder / f"{name}.py"
    copy.write_text(source.replace(GUARD, GUARD + lines), "utf-8")
    return copy


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """In place of the one for tests that run in this process: run() looks, after each of the two programs."""


@pytest.fixture(scope="module")
def cmp_paths(tmp_path_factory):
    """What to put in front of PYTHONPATH: nothing where cmp is installed, this repository otherwise."""
    folder = tmp_path_factory.mktemp("probe")
    installed = subprocess.run([sys.executable, "-c", "import cmp"], cwd=folder, capture_output=True).returncode == 0
    return () if installed else (str(ROOT),)


def skip_without_modules(name):
    for module in re.findall(r"^(?:import|from) (numpy|tqdm)\b", SCRIPTS[name].read_text("utf-8"), re.MULTILINE):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize("name, method", CASES, ids=["-".join(case) for case in CASES])
def test_same_as_standard_library(name, method, tmp_path, cmp_paths):
    skip_without_modules(name)
    if name == "081_pool_interrupt" and method != "default":
        pytest.skip("after Ctrl-C the standard library's Pool, on which cmp's still stands, may wait for ever")
    script = str(prepared(name, method, tmp_path))
    folders = [tmp_path / side for side in ("standard", "cmp")]
    for folder in folders:
        folder.mkdir()
    standard = run([script], folders[0])
    ours = run(["-m", "cmp", script], folders[1], cmp_paths)

    assert standard.status == STATUS.get(name, 0), standard.stderr
    assert ours.status == standard.status, ours.stderr
    if name == "000_implementation":
        assert standard.stdout.replace("multiprocessing", "cmp") == ours.stdout
    else:
        assert ours.stdout.splitlines() == standard.stdout.splitlines()
    assert ours.exception == standard.exception, ours.stderr
    assert ours.processes == []
    assert ours.segments == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_one_guard(name):
    source = SCRIPTS[name].read_text("utf-8")
    assert source.startswith('"""') and source.count(GUARD) == (name != "014_unguarded")
