"""The safety net itself: a hanging test fails and shows the stacks of its processes, a leaking one fails."""
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent.parent / "conftest.py"


def run_pytest(folder, text):
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_it.py").write_text(text)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
                          capture_output=True, text=True, timeout=50, cwd=folder)


def test_hang_fails_and_shows_all_stacks(tmp_path):
    ran = run_pytest(tmp_path, """
import cmp, pytest, signal, time
def sleep_in_the_child(there):
    there.set()
    time.sleep(100)
@pytest.mark.limit(2)
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_hangs(how):
    ctx = cmp.get_context(how)
    there = ctx.Event()
    p = ctx.Process(target=sleep_in_the_child, args=(there,))
    # On a busy machine the child may need longer than the limit to get there.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    p.start()
    there.wait()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    p.join()
""")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "2 failed" in ran.stdout
    assert ran.stdout.count("TimeLimitExceeded: 2 s") >= 2
    assert (ran.stdout + ran.stderr).count("in sleep_in_the_child") >= 2


def test_fixtures_that_hang_fail(tmp_path):
    ran = run_pytest(tmp_path, """
import pytest, subprocess
@pytest.fixture
def hangs_before():
    subprocess.run(["sleep", "100"])
@pytest.fixture
def hangs_after():
    yield
    subprocess.run(["sleep", "100"])
@pytest.mark.limit(1)
def test_before(hangs_before):
    pass
@pytest.mark.limit(1)
def test_after(hangs_after):
    pass
""")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 passed, 2 errors" in ran.stdout
    assert "TimeLimitExceeded: 1 s" in ran.stdout and "TimeLimitExceeded: 11 s" in ran.stdout
    assert "in hangs_before" in ran.stdout + ran.stderr and "in hangs_after" in ran.stdout + ran.stderr


def test_process_left_behind_fails(tmp_path):
    ran = run_pytest(tmp_path, """
import subprocess
def test_leaks():
    subprocess.Popen(["sleep", "100"])
""")
    assert "processes left behind" in ran.stdout
    assert ran.returncode == 1


def test_file_left_behind_fails(tmp_path):
    ran = run_pytest(tmp_path, """
import os
def test_leaks():
    open("/dev/shm/cmp-test-left", "w").close()
def test_clean_up():
    os.unlink("/dev/shm/cmp-test-left")
""")
    assert "cmp-test-left" in ran.stdout
    assert ran.returncode == 1
