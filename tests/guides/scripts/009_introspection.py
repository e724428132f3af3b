"""Who am I, who is my parent, who are my children, how many processors are there."""
import multiprocessing
import os
from multiprocessing import Process, active_children, cpu_count, current_process, parent_process


def introduce(conn):
    me, parent = current_process(), parent_process()
    conn.send({"name": me.name, "pid": me.pid == os.getpid(), "daemon": me.daemon, "key": bytes(me.authkey),
               "parent": parent.pid, "parent name": parent.name, "parent alive": parent.is_alive(),
               "children": len(active_children())})
    conn.recv()


if __name__ == "__main__":
    me = current_process()
    assert me.name == "MainProcess" and me.pid == os.getpid() and parent_process() is None
    assert cpu_count() == os.cpu_count() >= 1
    assert active_children() == []
    me.authkey = b"a secret of this family"

    processes, pipes = [], []
    for name in ("first", None):
        here, there = multiprocessing.Pipe()
        process = Process(target=introduce, args=(there,), name=name, daemon=name is not None)
        assert process.authkey == me.authkey
        process.start()
        said = here.recv()
        assert said.pop("parent") == os.getpid() and said.pop("key") == b"a secret of this family"
        print(said)
        processes.append(process)
        pipes.append(here)
    print("children:", sorted(child.name for child in active_children()))
    assert set(active_children()) == set(processes)
    for process, here in zip(processes, pipes):
        here.send("go")
        process.join()
        assert process.exitcode == 0
    print("children:", active_children())
    print("main:", me.name, repr(process).split(" pid=")[0])
