"""poll(): is something there now, or within so many seconds; wait(): on which of several pipes."""
import time
from multiprocessing import Event, Pipe, Process
from multiprocessing.connection import wait


def send_when(gate, conn, message):
    gate.wait()
    conn.send(message)
    conn.close()


if __name__ == "__main__":
    gate = Event()
    here, there = Pipe()
    process = Process(target=send_when, args=(gate, there, "at last"))
    process.start()
    there.close()
    begin = time.monotonic()
    assert here.poll() is False and here.poll(0.1) is False
    assert time.monotonic() - begin >= 0.09
    print("nothing yet")
    gate.set()
    assert here.poll(30) is True and here.poll(None) is True
    print(here.recv())
    process.join()
    assert here.poll() is True  # the end of the stream can be read, too
    try:
        here.recv()
    except EOFError:
        print("end")

    gates, ends, processes = [], [], []
    for n in range(3):
        gates.append(Event())
        here, there = Pipe(duplex=False)
        ends.append(here)
        processes.append(Process(target=send_when, args=(gates[n], there, n)))
        processes[n].start()
        there.close()
    assert wait(ends, timeout=0) == []
    order = []
    for n in (2, 0, 1):
        gates[n].set()
        [ready] = wait(ends)
        order.append(ready.recv())
        ends.remove(ready)
    for process in processes:
        process.join()
    assert order == [2, 0, 1]
    print("answers as they came:", order)
