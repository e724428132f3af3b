"""ctypes in shared memory: structures, raw arrays without a lock, and copies of both."""
import ctypes
from multiprocessing import Array, Lock, Process, RawArray, RawValue
from multiprocessing.sharedctypes import Value, copy, synchronized


class Particle(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("speed", ctypes.c_double), ("steps", ctypes.c_int)]


def move(particles, one, counter, lock):
    for particle in particles:
        particle.x += particle.speed
        particle.steps += 1
    with one.get_lock():
        one.x, one.steps = one.x * 10, one.steps + 1
    with lock:  # not around the loop: each particles[i] takes it, too
        counter.value += len(particles)


if __name__ == "__main__":
    lock = Lock()
    particles = Array(Particle, [(0.0, 0.5), (1.0, -0.25)], lock=lock)
    one, counter = Value(Particle, 1.5, 0.0, 3), RawValue(ctypes.c_uint16, 65530)
    for _ in range(4):
        process = Process(target=move, args=(particles, one, counter, lock))
        process.start()
        process.join()
        assert process.exitcode == 0
    print([(p.x, p.speed, p.steps) for p in particles])
    assert counter.value == (65530 + 8) % 65536
    print((one.x, one.steps), counter.value)

    raw = RawArray("h", [1, -2, 3])
    twin = copy(raw)
    twin[0] = 100
    assert raw[:] == [1, -2, 3] and twin[:] == [100, -2, 3]
    guarded = synchronized(twin)
    with guarded:
        print(raw[:], guarded[:], ctypes.sizeof(raw), len(RawArray(ctypes.c_double, 5)))
