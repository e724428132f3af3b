"""Heat spreads over a plate, computed in bands by processes that exchange their edges.

After the guide that writes its processes as classes: subclasses of Process, daemons, a Lock, Semaphores that count free
and used places of a buffer, a Queue, one-way and two-way Pipes between neighbours, and a Pool for the summary at the
end.

The plate starts as a picture of the standard library: how often which byte follows which in its sources. Each process
owns a band of rows; after every step it sends its first and last row to its neighbours and gets theirs. Now and then
one of them hands a snapshot to an observer through a buffer of two places. The result is compared with a computation in
one piece.
"""
import time
from multiprocessing import Lock, Pipe, Pool, Process, Queue, Semaphore, Value, cpu_count

import numpy as np

import corpus

SCALE, STEPS, EVERY = 2, 1600, 400


def pairs_of(paths):
    """How often which byte follows which in these files."""
    counts = np.zeros(65536, np.int64)
    for path in paths:
        with open(path, "rb") as file:
            data = np.frombuffer(file.read(), np.uint8).astype(np.int64)
        counts += np.bincount(data[:-1] * 256 + data[1:], minlength=65536)
    return counts


def picture(paths):
    """The logarithm of how often each byte follows each other one, each a square of SCALE x SCALE points."""
    with Pool() as pool:
        counts = sum(pool.imap_unordered(pairs_of, corpus.shares(paths, 64)))
    plate = np.log1p(counts.reshape(256, 256).astype(np.float32))
    return np.kron(plate, np.ones((SCALE, SCALE), np.float32))


def framed(plate):
    """The plate with one more row at its top and at its bottom, for the neighbours' edges."""
    return np.vstack([plate[:1], plate, plate[-1:]])


def step(plate):
    """One step for all rows of a framed plate but its frame; the left and right edges keep their temperature."""
    old, change = plate[1:-1], plate[:-2, 1:-1] + plate[2:, 1:-1]
    change += old[:, :-2]
    change += old[:, 2:]
    change -= 4 * old[:, 1:-1]
    change *= np.float32(0.2)
    old[:, 1:-1] += change


class Band(Process):
    def __init__(self, index, plate, up, down, results, places, lock, busy):
        Process.__init__(self, name=f"band {index}")
        self.index, self.plate, self.up, self.down = index, framed(plate), up, down
        self.results, self.places, self.lock, self.busy = results, places, lock, busy
        self.daemon = True

    def exchange(self):
        """My edges for those of my neighbours; at the edge of the plate, its last row is its own neighbour."""
        plate = self.plate
        for conn, row in ((self.up, 1), (self.down, -2)):
            if conn:
                conn.send(plate[row])
        plate[0] = self.up.recv() if self.up else plate[1]
        plate[-1] = self.down.recv() if self.down else plate[-2]

    def run(self):
        begin = time.perf_counter()
        for count in range(1, STEPS + 1):
            self.exchange()
            step(self.plate)
            if count % EVERY == 0:
                self.show(count)
        with self.lock:
            self.busy.value += time.perf_counter() - begin
        self.results.put((self.index, self.plate[1:-1]))

    def show(self, count):
        buffer, free, used = self.places
        free.acquire()
        buffer.put((count, self.index, float(self.plate[1:-1].mean()), float(self.plate[1:-1].max())))
        used.release()


class Observer(Process):
    """Takes the snapshots out of the buffer and sends a line for each step that all bands have shown."""

    def __init__(self, bands, places, lines):
        super().__init__(daemon=True)
        self.bands, self.places, self.lines = bands, places, lines

    def run(self):
        buffer, free, used = self.places
        shown = {}
        for _ in range(self.bands * (STEPS // EVERY)):
            used.acquire()
            count, _, mean, top = buffer.get()
            free.release()
            rows = shown.setdefault(count, [])
            rows.append((mean, top))
            if len(rows) == self.bands:
                self.lines.send(f"  step {count}: mean {sum(m for m, _ in rows) / len(rows):.4f}, "
                                f"hottest {max(top for _, top in rows):.4f}")
        self.lines.send(None)


def spread(plate, bands):
    results, lock, busy = Queue(), Lock(), Value("d", 0.0, lock=False)
    places = Queue(10), Semaphore(2), Semaphore(0)
    reader, writer = Pipe(duplex=False)
    joints = [Pipe() for _ in range(bands - 1)]
    ups, downs = [None, *(below for _, below in joints)], [*(above for above, _ in joints), None]
    crew = [Band(i, rows, ups[i], downs[i], results, places, lock, busy)
            for i, rows in enumerate(np.array_split(plate, bands))]
    observer = Observer(bands, places, writer)
    for process in [observer, *crew]:
        process.start()
    for line in iter(reader.recv, None):
        print(line)
    parts = dict(results.get() for _ in crew)
    for process in [observer, *crew]:
        process.join()
    assert all(process.exitcode == 0 for process in [observer, *crew])
    return np.vstack([parts[i] for i in range(bands)]), busy.value


def main():
    bands = max(2, cpu_count())
    start = picture(corpus.files())
    print(f"{start.shape[0]} x {start.shape[1]} points, {STEPS} steps, {bands} bands")
    begin = time.perf_counter()
    plate, busy = spread(start, bands)
    parallel = time.perf_counter() - begin

    begin, expected = time.perf_counter(), framed(start)
    for _ in range(STEPS):
        expected[0], expected[-1] = expected[1], expected[-2]
        step(expected)
    serial = time.perf_counter() - begin
    assert np.array_equal(plate, expected[1:-1])
    print(f"equal to the computation in one piece, point by point; {parallel:.2f} s in parallel "
          f"({busy:.2f} s in all bands), {serial:.2f} s serially")


if __name__ == "__main__":
    main()
