"""Bytes through a pipe, whole messages of them, with a limit, an offset or into a buffer of one's own."""
import hashlib
from multiprocessing import BufferTooShort, Pipe, Process


def digest(conn):
    with conn:
        while data := conn.recv_bytes():
            conn.send_bytes(hashlib.sha256(data).digest())


if __name__ == "__main__":
    here, there = Pipe()
    process = Process(target=digest, args=(there,))
    process.start()
    there.close()
    for payload in (b"small", bytes(range(256)) * 16, b"large" * 1_000_000):
        here.send_bytes(payload)
        answer = here.recv_bytes(maxlength=32)
        assert answer == hashlib.sha256(payload).digest()
        print(len(payload), answer.hex()[:16])
    here.send_bytes(b"......middle......", 6, 6)
    assert here.recv_bytes() == hashlib.sha256(b"middle").digest()
    here.send_bytes(b"")
    process.join()
    print("exit:", process.exitcode, "descriptor:", here.fileno() > 2)
    here.close()

    left, right = Pipe()
    buffer = bytearray(b"-" * 16)
    left.send_bytes(memoryview(b"eight by"))
    assert right.recv_bytes_into(buffer, 4) == 8
    print(bytes(buffer))
    left.send_bytes(b"more than fits into sixteen bytes")
    try:
        right.recv_bytes_into(buffer)
    except BufferTooShort as error:
        print("too short for:", error.args[0])
