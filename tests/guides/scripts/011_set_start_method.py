"""set_start_method(): once for a program, before its first process; force=True for those who insist."""
import multiprocessing
from multiprocessing import Pipe, Process, get_start_method, set_start_method


def tell(conn):
    conn.send(get_start_method())


def ask():
    here, there = Pipe()
    process = Process(target=tell, args=(there,))
    process.start()
    said = here.recv()
    process.join()
    return said


if __name__ == "__main__":
    assert get_start_method(allow_none=True) is None
    multiprocessing.set_start_method("spawn")
    print(get_start_method(), ask())
    try:
        set_start_method("fork")
    except RuntimeError as error:
        print(error)
    for method in ("fork", "forkserver"):
        set_start_method(method, force=True)
        assert get_start_method() == ask() == method
        print(get_start_method(), ask())
