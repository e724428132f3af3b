"""map and starmap over a Pool, as a context manager and with close() and join()."""
from multiprocessing import Pool, cpu_count


def square(n):
    return n ** 2


def area(width, height):
    return width * height


def swap(pair):
    a, b = pair
    return b, a


if __name__ == "__main__":
    with Pool(processes=4) as pool:
        assert pool.map(square, range(10)) == [n * n for n in range(10)]
        print(pool.map(square, [1, 2, 3, 4]))
        print(pool.map(swap, zip("abc", range(3))))
        print(pool.starmap(area, [(1, 2), (3, 4), (5, 6)]))
        print(pool.map(square, []), pool.starmap(area, []))
        many = pool.map(square, range(5000), chunksize=7)
        assert many == [n * n for n in range(5000)]
        print("many:", len(many), sum(many))

    pool = Pool()  # as many workers as processors
    assert len(pool.map(square, range(cpu_count() * 3))) == cpu_count() * 3
    pool.close()
    try:
        pool.map(square, [1])
    except ValueError as error:
        print(error)
    pool.join()
    try:
        Pool(0)
    except ValueError as error:
        print(error)
