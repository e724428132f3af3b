"""gh-80180: when a parent is killed its daemonic children end at once; the others go on."""
import os
import signal
import subprocess
import sys

import pytest

from conftest import wait_until

PARENT = """
import cmp, os, signal, sys, threading, time
def arrived():
    os.write(1, b"arrived\\n")
def compute():
    arrived()
    while True:
        pass
def sleep():
    arrived()
    time.sleep(100)
def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    event = cmp.Event()
    arrived()
    event.wait()
def wait_for_the_queue():
    queue = cmp.Queue()
    arrived()
    queue.get()
def with_threads():
    threading.Thread(target=compute, daemon=True).start()
    time.sleep(100)
def start(ctx, target, daemon):
    process = ctx.Process(target=target, daemon=daemon)
    process.start()
    print(process.pid, flush=True)
def main():
    method, target, how, daemon = sys.argv[1:]
    ctx, target, daemon = cmp.get_context(method), globals()[target], daemon == "daemon"
    if how == "from a thread that ends":
        thread = threading.Thread(target=start, args=(ctx, target, daemon))
        thread.start()
        thread.join()
    else:
        start(ctx, target, daemon)
    if how == "beside a sibling forked later":
        start(cmp.get_context("fork"), sleep, False)
    if how == "with a large parent":
        ballast = bytearray(300_000_000)
    print("ready", flush=True)
    time.sleep(100)
if __name__ == "__main__":
    main()
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def run_parent(tmp_path, *arguments):
    """Start PARENT; returns it and the pids that it printed."""
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", *arguments], stdout=subprocess.PIPE, text=True)
    lines = set()
    pids = []
    while not {"ready", "arrived"} <= lines:  # the child is in its target, so that nothing is killed half made
        line = parent.stdout.readline().strip()
        assert line, lines
        lines.add(line)
        pids += [int(line)] if line.isdigit() else []
    return parent, pids


def kill(parent):
    parent.kill()
    parent.wait()
    parent.stdout.close()


@pytest.mark.parametrize("how", ["plainly", "from a thread that ends", "beside a sibling forked later",
                                 "with a large parent"])
@pytest.mark.parametrize("target", ["compute", "sleep"])
def test_daemonic_child_ends(tmp_path, method, target, how):
    parent, (child, *siblings) = run_parent(tmp_path, method, target, how, "daemon")
    assert alive(child)
    kill(parent)
    assert wait_until(lambda: not alive(child), 10)
    assert all(alive(pid) for pid in siblings)
    for pid in siblings:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("target", ["blocked", "wait_for_the_queue", "with_threads"])
def test_daemonic_child_ends_whatever_it_does(tmp_path, method, target):
    parent, (child,) = run_parent(tmp_path, method, target, "plainly", "daemon")
    assert alive(child)
    kill(parent)
    assert wait_until(lambda: not alive(child), 10)


def test_other_children_go_on(tmp_path, method):
    parent, (child,) = run_parent(tmp_path, method, "sleep", "plainly", "not daemonic")
    kill(parent)
    assert not wait_until(lambda: not alive(child), 1)
    os.kill(child, signal.SIGKILL)


def test_stopped_parent_is_not_a_dead_one(tmp_path, method):
    parent, (child,) = run_parent(tmp_path, method, "sleep", "plainly", "daemon")
    parent.send_signal(signal.SIGSTOP)
    assert not wait_until(lambda: not alive(child), 1)
    kill(parent)
    assert wait_until(lambda: not alive(child), 10)


def test_while_the_child_imports_the_main_module(tmp_path, method):
    """Under spawn and forkserver that may take long; the child is watched from its first moment."""
    (tmp_path / "parent.py").write_text("""
import cmp, os, sys, time
if __name__ != "__main__":
    os.write(1, b"importing %d\\n" % os.getpid())
    time.sleep(100)
def child():
    os.write(1, b"importing %d\\n" % os.getpid())
    time.sleep(100)
if __name__ == "__main__":
    cmp.set_forkserver_preload(["os"])
    cmp.get_context(sys.argv[1]).Process(target=child, daemon=True).start()
    time.sleep(100)
""")
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", method], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline().split()[1])
    kill(parent)
    assert wait_until(lambda: not alive(child), 10)


def test_siblings_forked_while_a_child_starts(tmp_path, method):
    """A fork in another thread, at any moment of start(), must not keep the parent alive in a child's eyes."""
    (tmp_path / "parent.py").write_text("""
import cmp, os, sys, threading, time
def child():
    time.sleep(100)
def fork_on_and_on():
    while len(siblings) < 60:
        if (pid := os.fork()) == 0:
            os.close(1)
            time.sleep(100)
            os._exit(0)
        siblings.append(pid)
if __name__ == "__main__":
    siblings, ctx = [], cmp.get_context(sys.argv[1])
    ctx.Process(target=print).start()
    thread = threading.Thread(target=fork_on_and_on)
    thread.start()
    children = []
    while thread.is_alive() or len(children) < 10:
        children.append(ctx.Process(target=child, daemon=True))
        children[-1].start()
    thread.join()
    print([process.pid for process in children], siblings, sep=";", flush=True)
    time.sleep(100)
""")
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", method], stdout=subprocess.PIPE, text=True)
    children, siblings = ([int(pid) for pid in pids.strip("[] \n").split(",")]
                          for pids in next(line for line in parent.stdout if ";" in line).split(";"))
    kill(parent)
    gone = wait_until(lambda: not any(map(alive, children)), 10)
    outlived = [alive(pid) for pid in siblings]
    for pid in siblings:
        os.kill(pid, signal.SIGKILL)
    assert gone and all(outlived)


def test_pool_workers_end(tmp_path, method):
    """All of them, while they work."""
    (tmp_path / "parent.py").write_text("""
import cmp, os, sys
def work(number):
    print(os.getpid(), flush=True)
    while True:
        pass
if __name__ == "__main__":
    cmp.get_context(sys.argv[1]).Pool(3).map(work, range(3), chunksize=1)
""")
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", method], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(3)]
    kill(parent)
    assert wait_until(lambda: not any(alive(pid) for pid in workers), 10)


def test_parent_dies_at_any_moment_of_the_start(tmp_path, method):
    """Killed at many points around start(): no daemonic child is left."""
    (tmp_path / "parent.py").write_text("""
import cmp, sys, time
def sleep():
    time.sleep(100)
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    print("begin", flush=True)
    while True:
        ctx.Process(target=sleep, daemon=True).start()
""")
    for i in range(6):
        parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", method], stdout=subprocess.PIPE, text=True)
        parent.stdout.readline()
        try:
            parent.wait(0.02 + 0.03 * i)
        except subprocess.TimeoutExpired:
            pass
        kill(parent)
    # the fixture `nothing_left_behind` is the verdict


EXEC = """
import cmp, os, sys, threading, time
def become_another_program():
    os.execvp("sleep", ["sleep", "100"])
def try_to_and_go_on(queue):
    try:
        os.execv("/no/such/program", ["x"])
    except FileNotFoundError:
        queue.put("still here")
    time.sleep(100)
def start(ctx):
    queue = ctx.SimpleQueue()
    failed = ctx.Process(target=try_to_and_go_on, args=(queue,), daemon=True)
    failed.start()
    queue.get()
    other = ctx.Process(target=become_another_program, daemon=True)
    other.start()
    while open(f"/proc/{other.pid}/comm").read() != "sleep\\n":
        time.sleep(0.01)
    print(failed.pid, other.pid, flush=True)
if __name__ == "__main__":
    thread = threading.Thread(target=start, args=(cmp.get_context(sys.argv[1]),))
    thread.start()
    thread.join()
    print("ready", flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_exec_in_a_daemonic_child(tmp_path, method):
    """The end of the thread that started it must not kill the new program; a failed exec leaves all as it was."""
    (tmp_path / "parent.py").write_text(EXEC)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", method], stdout=subprocess.PIPE, text=True)
    failed, other = map(int, parent.stdout.readline().split())
    assert parent.stdout.readline() == "ready\n"
    assert not wait_until(lambda: not (alive(failed) and alive(other)), 0.5)
    kill(parent)
    assert wait_until(lambda: not alive(failed), 10)
    assert alive(other)
    os.kill(other, signal.SIGKILL)
