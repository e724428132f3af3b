"""A Pool and shared memory: Value, Array and Lock reach the workers through the initializer."""
from multiprocessing import Array, Pool, Value


def share(total, buckets):
    global shared_total, shared_buckets
    shared_total, shared_buckets = total, buckets


def add(n):
    with shared_total.get_lock():
        shared_total.value += n
    with shared_buckets.get_lock():
        shared_buckets[n % len(shared_buckets)] += 1
    return n % 2


if __name__ == "__main__":
    total, buckets = Value("d", 0.0), Array("i", 10)
    pool = Pool(3, initializer=share, initargs=(total, buckets))
    jobs = [pool.apply_async(add, (n,)) for n in range(200)]
    pool.close()
    pool.join()
    assert total.value == sum(range(200)) and buckets[:] == [20] * 10
    print("total:", total.value, "buckets:", buckets[:], "odd ones:", sum(job.get() for job in jobs))
