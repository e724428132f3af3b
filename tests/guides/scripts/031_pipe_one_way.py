"""Pipe(duplex=False): one end reads, the other writes, and the end of the stream is an EOFError."""
from multiprocessing import Pipe, Process


def fibonacci(count, conn):
    a, b = 0, 1
    for _ in range(count):
        conn.send(a)
        a, b = b, a + b
    conn.close()


if __name__ == "__main__":
    reader, writer = Pipe(duplex=False)
    assert reader.readable and not reader.writable and writer.writable and not writer.readable
    process = Process(target=fibonacci, args=(30, writer))
    process.start()
    writer.close()  # or the end would never show: this process could still write
    numbers = []
    try:
        while True:
            numbers.append(reader.recv())
    except EOFError:
        print("end after", len(numbers), "numbers, the last one", numbers[-1])
    assert numbers[2:] == [a + b for a, b in zip(numbers, numbers[1:-1])]
    process.join()
    try:
        reader.send("wrong way")
    except OSError as error:
        print(error)
    reader.close()
    print("closed:", reader.closed, writer.closed)
