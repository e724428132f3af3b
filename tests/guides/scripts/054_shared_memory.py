"""SharedMemory as bytes: create, attach by name, read, write, close, unlink."""
import os
from multiprocessing import Process
from multiprocessing.shared_memory import SharedMemory


def swap_case(name):
    block = SharedMemory(name=name)
    text = bytes(block.buf[:5])
    block.buf[:5] = text.swapcase()
    number = int.from_bytes(block.buf[5:9], byteorder="little")
    block.buf[5:9] = (number + 1).to_bytes(4, byteorder="little")
    block.close()


if __name__ == "__main__":
    block = SharedMemory(create=True, size=10)
    try:
        assert block.size >= 10 and bytes(block.buf[:10]) == bytes(10)
        block.buf[:5] = b"Hello"
        block.buf[5:9] = (41).to_bytes(4, "little")
        process = Process(target=swap_case, args=(block.name,))
        process.start()
        process.join()
        assert process.exitcode == 0
        print(bytes(block.buf[:5]).decode(), int.from_bytes(block.buf[5:9], "little"))
    finally:
        block.close()
        block.unlink()
    try:
        SharedMemory(name=block.name)
    except FileNotFoundError:
        print("gone after unlink")

    name = f"guide_{os.getpid()}"
    block = SharedMemory(name, create=True, size=4096)
    try:
        assert block.name == name and block.size == 4096
        try:
            SharedMemory(name=name, create=True, size=1)
        except FileExistsError:
            print("a name is taken once")
        process = Process(target=swap_case, args=(name,))
        block.buf[0] = ord("q")
        process.start()
        process.join()
        print("named:", chr(block.buf[0]), block.buf[5], type(block.buf).__name__)
    finally:
        block.close()
        block.unlink()
