"""Connections between processes: start methods, many at one end, deaths, readiness outside, ends that travel."""
import asyncio
import gc
import hashlib
import multiprocessing
import os
import queue
import select
import selectors
import signal
import socket
import threading
import time

import pytest
from crew import asleep, open_descriptors, running, sleep_for_ever, stop, wait_asleep

import cmp
from cmp import connection
from conftest import wait_until


@pytest.fixture
def pipe():
    ends = connection.Pipe()
    yield ends
    for end in ends:
        end.close()


def close_others(end):
    """After a fork: all ends that this process has by inheritance."""
    for one in gc.get_objects():
        if isinstance(one, connection.PipeEnd) and one is not end:
            one.close()


# ---- under every start method ----


def echo(end):
    close_others(end)
    with end:
        while True:
            try:
                end.send(end.recv())
            except EOFError:
                return


def test_echo(ctx, pipe):
    a, b = pipe
    with running(ctx, echo, b) as child:
        b.close()
        for value in (1, "text", bytes(10), bytes(1 << 20), [range(3)], {"a": bytearray(100_000)}):
            a.send(value)
            assert a.recv() == value
        a.close()
        child.join()
        assert child.exitcode == 0


def send_and_leave(end, size):
    end.send_bytes(bytes(size))


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_what_was_sent_stays_when_the_sender_has_left(ctx, size):
    a, b = connection.Pipe(False)
    with running(ctx, send_and_leave, b, size) as child:
        b.close()
        child.join()
        assert a.recv_bytes() == bytes(size)
        with pytest.raises(EOFError):
            a.recv()
    a.close()


# ---- many at one end ----


def checked(number):
    body = number.to_bytes(8, "little") * (number * 37 % 3000)
    return number, body, hashlib.sha256(body).digest()


def send_many(end, first, n):
    for number in range(first, first + n):
        end.send(checked(number)) if number % 2 else end.send_bytes(checked(number)[1][:8] + b"x" * (number % 50_000))


def receive_many(end, told):
    while True:
        try:
            value = end.recv_bytes()
        except EOFError:
            return
        told.put(value)


def verify(raw):
    if set(raw[8:]) <= set(b"x"):
        number = int.from_bytes(raw[:8], "little")
        assert len(raw) - len(checked(number)[1][:8]) == number % 50_000
        return number
    number, body, digest = connection._ForkingPickler.loads(raw)
    assert checked(number) == (number, body, digest)
    return number


def test_many_threads_at_both_ends(pipe):
    a, b = pipe
    told = queue.Queue()
    senders = [threading.Thread(target=send_many, args=(a, 1 + i * 1000, 300)) for i in range(4)]
    receivers = [threading.Thread(target=receive_many, args=(b, told)) for _ in range(3)]
    for thread in senders + receivers:
        thread.start()
    for thread in senders:
        thread.join()
    a.close()
    for thread in receivers:
        thread.join()
    assert sorted(verify(told.get()) for _ in range(told.qsize())) == [1 + i * 1000 + k for i in range(4)
                                                                     for k in range(300)]


def send_many_and_stop(end, first, n):
    close_others(end)
    send_many(end, first, n)


def test_many_processes_at_both_ends(pipe):
    ctx = cmp.get_context("fork")
    a, b = pipe
    told, told_w = connection.Pipe(False)

    def receive():
        close_others_but(b, told_w)
        receive_all(b, told_w)
    senders = [ctx.Process(target=send_many_and_stop, args=(a, 1 + i * 1000, 200)) for i in range(3)]
    receivers = [ctx.Process(target=receive) for _ in range(3)]
    for process in senders + receivers:
        process.start()
    a.close()
    b.close()
    told_w.close()
    numbers = []
    while True:
        try:
            numbers.append(told.recv())
        except EOFError:
            break
    for process in senders + receivers:
        process.join()
        assert process.exitcode == 0
    assert sorted(numbers) == [1 + i * 1000 + k for i in range(3) for k in range(200)]


def close_others_but(*kept):
    for one in gc.get_objects():
        if isinstance(one, connection.PipeEnd) and all(one is not end for end in kept):
            one.close()


def receive_all(end, told):
    while True:
        try:
            told.send(verify(end.recv_bytes()))
        except EOFError:
            return


# ---- deaths ----


def send_for_ever(end):
    close_others(end)
    number = 0
    while True:
        number += 1
        end.send(checked(number))


def test_a_killed_sender_leaves_whole_messages():
    for i in range(15):
        a, b = connection.Pipe(False)
        with running(cmp.get_context("fork"), send_for_ever, b) as child:
            b.close()
            wanted = 1
            for _ in range(50 * (i % 3)):
                assert a.recv() == checked(wanted)
                wanted += 1
            os.kill(child.pid, signal.SIGKILL)
            with pytest.raises(EOFError):
                while True:
                    assert a.recv() == checked(wanted)
                    wanted += 1
        a.close()
    assert cmp.check() == []


def test_a_waiting_receiver_sees_a_death(ctx, pipe):
    a, b = pipe
    with running(ctx, sleep_with, b) as child:
        b.close()
        a.recv()
        raised = []

        def receive():
            try:
                a.recv()
            except EOFError:
                raised.append("EOFError")
        thread = threading.Thread(target=receive)
        thread.start()
        assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
        os.kill(child.pid, signal.SIGKILL)
        thread.join()
        assert raised == ["EOFError"]
        with pytest.raises(BrokenPipeError):
            a.send(1)


def sleep_with(end):
    close_others(end)
    end.send("there")
    sleep_for_ever()


def fill(end):
    while True:
        end.send_bytes(bytes(1000))


def test_a_waiting_sender_sees_a_death(pipe):
    a, b = pipe
    with running(cmp.get_context("fork"), sleep_with, b) as child:
        b.close()
        a.recv()
        raised = []

        def send():
            try:
                fill(a)
            except BrokenPipeError:
                raised.append("BrokenPipeError")
        thread = threading.Thread(target=send)
        thread.start()
        assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
        os.kill(child.pid, signal.SIGKILL)
        thread.join()
        assert raised == ["BrokenPipeError"]


def test_the_end_is_there_as_long_as_one_has_it(pipe):
    a, b = pipe
    ctx = cmp.get_context("fork")
    with running(ctx, sleep_with, b) as first, running(ctx, sleep_with, b) as second:
        b.close()
        assert a.recv() == a.recv() == "there"
        os.kill(first.pid, signal.SIGKILL)
        first.join()
        assert a.poll(0.2) is False
        a.send(1)
        stop(second)
        assert a.poll(0.2) is False
        os.kill(second.pid, signal.SIGKILL)
        with pytest.raises(EOFError):
            a.recv()


# ---- readiness outside ----


def readable(end):
    return bool(select.select([end], [], [], 0)[0])


def test_select(pipe):
    a, b = pipe
    assert not readable(a) and not readable(b)
    for _ in range(3):
        a.send(1)
        a.send(2)
        assert readable(b) and not readable(a)
        b.recv()
        assert readable(b)
        b.recv()
        assert not readable(b)
    a.close()
    assert readable(b)


def test_what_came_before_the_first_fileno(pipe):
    a, b = pipe
    a.send(1)
    assert readable(b)
    b.recv()
    assert not readable(b)


def test_epoll_wakes(ctx, pipe):
    a, b = pipe
    with running(ctx, echo, b), select.epoll() as epoll:
        b.close()
        epoll.register(a.fileno(), select.EPOLLIN)
        assert epoll.poll(0.01) == []
        for i in range(50):
            a.send(i)
            assert [fd for fd, _ in epoll.poll(20)] == [a.fileno()]
            assert a.recv() == i
            assert epoll.poll(0) == []
        a.close()


def test_asyncio(pipe):
    a, b = pipe

    async def main():
        loop, got = asyncio.get_running_loop(), asyncio.Queue()
        loop.add_reader(b.fileno(), lambda: got.put_nowait(b.recv()))
        try:
            for i in range(20):
                await loop.run_in_executor(None, a.send, i)
                assert await asyncio.wait_for(got.get(), 20) == i
        finally:
            loop.remove_reader(b.fileno())
    asyncio.run(main())


def test_selectors_see_many_processes(pipe):
    a, b = pipe
    ctx = cmp.get_context("fork")
    senders = [ctx.Process(target=send_many_and_stop, args=(a, 1 + i * 1000, 100)) for i in range(3)]
    with selectors.DefaultSelector() as selector:
        selector.register(b, selectors.EVENT_READ)
        for process in senders:
            process.start()
        numbers = []
        while len(numbers) < 300:
            assert selector.select(20)
            while b.poll():
                numbers.append(verify(b.recv_bytes()))
        assert not selector.select(0)
    for process in senders:
        process.join()
    assert len(set(numbers)) == 300


# ---- wait ----


def test_wait_for_all_kinds(pipe):
    a, b = pipe
    c, d = multiprocessing.Pipe()
    left, right = socket.socketpair()
    r, w = os.pipe()
    child = cmp.get_context("fork").Process(target=time.sleep, args=(0.3,))
    child.start()
    kinds = [b, d, right, r, child.sentinel]
    assert connection.wait(kinds, 0) == [] and connection.wait(kinds, 0.01) == []
    a.send(1)
    assert connection.wait(kinds) == [b]
    c.send(2)
    left.send(b"3")
    os.write(w, b"4")
    assert connection.wait(kinds, 0) == [b, d, right, r]
    b.recv()
    assert connection.wait(kinds, 0) == [d, right, r]
    d.recv()
    right.recv(1)
    os.read(r, 1)
    assert connection.wait(kinds, 20) == [child.sentinel]
    child.join()
    a.close()
    assert connection.wait([b, d], 20) == [b]
    for one in (c, d, left, right):
        one.close()
    os.close(r)
    os.close(w)


def test_wait_is_woken(ctx, pipe):
    a, b = pipe
    with running(ctx, echo, b):
        b.close()
        for i in range(20):
            a.send(i)
            assert connection.wait([a], 20) == [a] and a.recv() == i
        assert connection.wait([a], 0.05) == []
        a.close()


def test_wait_refuses_a_closed_end(pipe):
    a, _ = pipe
    a.close()
    with pytest.raises((OSError, ValueError)):
        connection.wait([a], 0)


def test_wait_sees_a_death(ctx, pipe):
    a, b = pipe
    with running(ctx, sleep_with, b) as child:
        b.close()
        a.recv()
        assert connection.wait([a], 0) == []
        os.kill(child.pid, signal.SIGKILL)
        assert connection.wait([a], 20) == [a]
        with pytest.raises(EOFError):
            a.recv()


def test_wait_sees_a_message_of_which_nobody_tells(pipe):
    """As that of a sender who was killed between its commit and its byte: here it writes the byte elsewhere."""
    a, b = pipe
    assert connection.wait([b], 0) == []  # from now on a tells
    told, found = os.dup(a._fd), []
    with socket.socketpair()[0] as elsewhere:
        os.dup2(elsewhere.fileno(), a._fd)
    waiter = threading.Thread(target=lambda: found.extend(connection.wait([b])), daemon=True)
    waiter.start()
    assert wait_until(lambda: asleep(os.getpid(), waiter.native_id), 20)
    a.send("untold")
    assert select.select([b._fd], [], [], 0)[0] == []
    waiter.join(40)
    assert found == [b] and b.recv() == "untold"
    os.dup2(told, a._fd)
    os.close(told)
    assert connection.wait([b], 0) == []
    a.send("told")
    assert select.select([b._fd], [], [], 20)[0] == [b._fd] and connection.wait([b], 20) == [b]
    assert b.recv() == "told"


def test_wait_of_nothing():
    assert connection.wait([], 0.01) == []


# ---- ends that travel ----


def receive_end_and_answer(end):
    close_others(end)
    with end.recv() as other:
        other.send("by another way")
        assert other.recv() == "thanks"


@pytest.mark.parametrize("by", [connection.Pipe, multiprocessing.Pipe])
def test_an_end_goes_through_a_pipe(ctx, pipe, by):
    a, b = pipe
    near, far = by()
    with running(ctx, receive_end_and_answer, far) as child:
        far.close()
        near.send(b)
        b.close()
        assert a.recv() == "by another way"
        assert connection.wait([a], 0) == []
        a.send("thanks")
        with pytest.raises(EOFError):
            a.recv()
        child.join()
        assert child.exitcode == 0
    near.close()


def test_an_end_goes_to_its_own_process(pipe):
    a, b = pipe
    near, far = connection.Pipe()
    near.send(b)
    b.close()
    fds = open_descriptors()
    with far.recv() as again:
        a.send(1)
        assert readable(again) and again.recv() == 1 and not readable(again)
        assert wait_until(lambda: len(open_descriptors()) == len(fds), 20)  # the sharer has closed its copies
    with pytest.raises(EOFError):
        a.recv()
    near.close()
    far.close()


def recv_lock(end, go):
    close_others(end)
    lock = end.recv()
    go.wait()
    with lock:
        end.send("locked")


def test_a_lock_goes_through_a_pipe(ctx, pipe):
    a, b = pipe
    go = ctx.Event()
    with running(ctx, recv_lock, b, go) as child:
        a.send(cmp.Lock())
        gc.collect()
        go.set()
        assert a.recv() == "locked"
        child.join()


def test_descriptors_are_closed(ctx):
    def once():
        a, b = connection.Pipe()
        with running(ctx, echo, b):
            b.close()
            a.send(1)
            a.recv()
            a.close()
    once()
    fds = open_descriptors()
    once()
    assert open_descriptors() == fds


def test_closing_while_another_thread_receives(pipe):
    a, b = pipe
    got = []
    thread = threading.Thread(target=lambda: got.append(b.recv()))
    thread.start()
    assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
    b.close()
    assert b.closed
    a.send(1)
    thread.join()
    assert got == [1]
    with pytest.raises(EOFError):
        a.recv()


def close_and_count(end, told):
    end.close()
    told.send("closed")
    sleep_for_ever()


def test_a_fork_while_another_thread_receives(pipe):
    """The child closes its copy for good, though a thread that it has not was using it."""
    a, b = pipe
    told, told_w = connection.Pipe(False)
    got = []
    thread = threading.Thread(target=lambda: got.append(b.recv()))
    thread.start()
    assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
    with running(cmp.get_context("fork"), close_and_count, b, told_w) as child:
        assert told.recv() == "closed"
        a.send(1)
        thread.join()
        b.close()
        wait_asleep(child)
        with pytest.raises(EOFError):
            a.recv()
    told.close()
    told_w.close()
