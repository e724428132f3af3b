"""ShareableList and SharedMemoryManager: small records by name, and blocks that end with their manager."""
from multiprocessing import Process
from multiprocessing.managers import SharedMemoryManager
from multiprocessing.shared_memory import ShareableList, SharedMemory


def update(name):
    record = ShareableList(name=name)
    record[0] += 1
    record[1] *= 2
    record[2] = record[2].replace("raw", "red")
    record[4] = None
    record.shm.close()


def fill(block, record, value):
    block.buf[:4] = bytes([value]) * 4
    record[0] = sum(block.buf[:4])


if __name__ == "__main__":
    record = ShareableList([41, 0.25, "raw text", b"bytes", True, None])
    try:
        process = Process(target=update, args=(record.shm.name,))
        process.start()
        process.join()
        assert list(record) == [42, 0.5, "red text", b"bytes", None, None]
        print(list(record), len(record), record.index(0.5), record.count(None))
        try:
            record[2] = "far too long a text for the place of this one"
        except ValueError:
            print("a place keeps its size")
    finally:
        record.shm.close()
        record.shm.unlink()

    with SharedMemoryManager() as manager:
        block, record = manager.SharedMemory(size=128), manager.ShareableList([0, "sum"])
        name = block.name
        process = Process(target=fill, args=(block, record, 25))
        process.start()
        process.join()
        assert bytes(block.buf[:4]) == bytes([25]) * 4
        print(list(record))
    try:
        SharedMemory(name=name)
    except FileNotFoundError:
        print("gone with its manager")
