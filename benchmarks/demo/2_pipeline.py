"""An archive of the standard library's sources: a producer, compressors and a writer, each a process.

After the guide that walks through all of multiprocessing: Process and a subclass of it, a bounded Queue of tasks ended
by None, a Queue of results, a Pipe for questions to the writer, a Lock around a log file, a Condition that tells when
half is done, an Event that ends a loop in good order, a Manager's dict as the index.

The archive is read back at the end, and every file in it compared with the original.
"""
import bz2
import hashlib
import os
import tempfile
import time
from multiprocessing import Condition, Event, Lock, Manager, Pipe, Process, Queue, Value, cpu_count

import corpus


def produce(paths, tasks, consumers):
    for path in paths:
        with open(path, "rb") as file:
            tasks.put((path, file.read()))
    for _ in range(consumers):
        tasks.put(None)


class Compressor(Process):
    """Packs what it gets until there is no more, then notes in the log how much that was."""

    def __init__(self, tasks, packed, lock, log):
        super().__init__()
        self.tasks, self.packed, self.lock, self.log = tasks, packed, lock, log

    def run(self):
        count = 0
        while (task := self.tasks.get()) is not None:
            path, data = task
            self.packed.put((path, hashlib.sha256(data).hexdigest(), bz2.compress(data)))
            count += 1
        self.packed.put(None)
        with self.lock, open(self.log, "a") as file:
            file.write(f"{self.name} packed {count} files\n")


def write(archive, packed, producers, index, written, grown, questions):
    """Appends what arrives to the archive, then answers questions about it."""
    entries, largest = {}, ("", 0)
    with open(archive, "wb") as file:
        while producers:
            if (item := packed.get()) is None:
                producers -= 1
                continue
            path, digest, data = item
            entries[path] = file.tell(), len(data), digest
            largest = max(largest, (path, len(data)), key=lambda entry: entry[1])
            file.write(data)
            with grown:
                written.value += 1
                grown.notify_all()
    index.update(entries)
    answers = {"bytes": os.path.getsize(archive), "largest": corpus.short(largest[0])}
    while (question := questions.recv()) is not None:
        questions.send(answers[question])


def count_ticks(stop, ticks):
    while not stop.wait(timeout=0.1):
        ticks.value += 1


def check(archive, index, paths):
    """Everything comes out as it went in; how many bytes that is."""
    total = 0
    with open(archive, "rb") as file:
        for path in paths:
            offset, length, digest = index[path]
            file.seek(offset)
            data = bz2.decompress(file.read(length))
            with open(path, "rb") as original:
                assert data == original.read() and hashlib.sha256(data).hexdigest() == digest
            total += len(data)
    return total


def pack(paths, index, archive, log):
    consumers = cpu_count()
    tasks, packed, lock, stop = Queue(maxsize=32), Queue(), Lock(), Event()
    written, grown, ticks = Value("i", 0, lock=False), Condition(), Value("i", 0)
    here, there = Pipe()
    crew = [Process(target=produce, args=(paths, tasks, consumers)),
            Process(target=write, args=(archive, packed, consumers, index, written, grown, there))]
    crew += [Compressor(tasks, packed, lock, log) for _ in range(consumers)]
    ticker = Process(target=count_ticks, args=(stop, ticks))
    for process in [ticker, *crew]:
        process.start()
    for quarter in (1, 2, 3, 4):
        due = len(paths) * quarter // 4
        with grown:
            if not grown.wait_for(lambda due=due: written.value >= due, timeout=60):
                raise SystemExit("the pipeline stands still")
        print(f"  {written.value * 100 // len(paths):3} % after {ticks.value / 10:.1f} s")
    answers = []
    for question in ("bytes", "largest", None):
        here.send(question)
        if question:
            answers.append(here.recv())
    for process in crew:
        process.join()
    stop.set()
    ticker.join()
    assert all(process.exitcode == 0 for process in [ticker, *crew])
    return answers


def main():
    paths = corpus.files()
    print(f"{len(paths)} files, {cpu_count()} compressors")
    with tempfile.TemporaryDirectory() as folder, Manager() as manager:
        archive, log, index = os.path.join(folder, "archive"), os.path.join(folder, "log"), manager.dict()
        begin = time.perf_counter()
        size, largest = pack(paths, index, archive, log)
        seconds = time.perf_counter() - begin
        with open(log) as file:
            print("".join(sorted("  " + line for line in file)), end="")
        total = check(archive, dict(index), paths)
    print(f"{total / 1e6:.1f} MB packed into {size / 1e6:.1f} MB in {seconds:.2f} s, the largest entry is {largest}")
    print("every file unpacked again and equal to the original")


if __name__ == "__main__":
    main()
