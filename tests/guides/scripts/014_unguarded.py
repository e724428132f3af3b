"""Processes started while the main module runs, without a guard: that works where children are forked."""
import multiprocessing

fork = multiprocessing.get_context("fork")


def double(array, total):
    for i in range(len(array)):
        array[i] *= 2
    total.value = sum(array)


def greet(conn):
    conn.send("hello from the child")
    conn.close()


def shout(word, lock, queue):
    with lock:
        queue.put(word.upper())


here, there = fork.Pipe()
process = fork.Process(target=greet, args=(there,))
process.start()
print(here.recv())
process.join()

array, total = fork.Array("d", [1.0, 2.5, 4.0]), fork.Value("d", 0.0)
process = fork.Process(target=double, args=(array, total))
process.start()
process.join()
assert array[:] == [2.0, 5.0, 8.0]
print(array[:], total.value)

lock, queue = fork.Lock(), fork.Queue()
for word in ("alpha", "beta", "gamma"):
    fork.Process(target=shout, args=(word, lock, queue)).start()  # nobody keeps these, the exit waits for them
print(sorted(queue.get() for _ in range(3)))

with fork.Pool(2) as pool:
    print(pool.map(abs, range(-3, 3)))
