"""A server that answers each connection as a test says, byte by byte."""

import json
import socket
import threading
from contextlib import contextmanager


class FaultyServer:
    """Gives each connection to the next handler, and to the last one for ever."""

    def __init__(self, *handlers):
        self._handlers = handlers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests = []
        self.released = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        workers = []
        while True:
            connection, _ = self._listening.accept()
            if self.released.is_set():
                connection.close()
                break
            handler = self._handlers[min(len(self.requests), len(self._handlers) - 1)]
            self.requests.append(b"")
            worker = threading.Thread(target=self._serve, args=(connection, handler, len(self.requests) - 1))
            worker.start()
            workers.append(worker)
        for worker in workers:
            worker.join()
        self._listening.close()

    def _serve(self, connection, handler, number):
        with connection:
            try:
                self.requests[number] = _read(connection)
                handler(connection, self.released)
            except OSError:
                pass  # the client went away, as it should

    def close(self):
        self.released.set()
        with socket.create_connection(self._listening.getsockname()):
            pass
        self._thread.join()


def _read(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += _receive(connection)
    return head + b"\r\n\r\n" + body


def _receive(connection):
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("the client went away")
    return received


@contextmanager
def faulty(*handlers):
    server = FaultyServer(*handlers)
    try:
        yield server
    finally:
        server.close()


def reply(body, status="200 OK", length=None):
    """Answer with a body, and close the connection."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    return lambda connection, released: connection.sendall(head.encode() + body)


def hang_up(connection, released):
    """Close the connection without an answer."""


def half_a_head(connection, released):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")


def half_closed(connection, released):
    """Say that nothing more will be sent, and keep the connection open."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.shutdown(socket.SHUT_WR)
    released.wait()


def silence(connection, released):
    released.wait()


def drip(connection, released):
    """Send a byte now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n")
    while not released.wait(0.02):
        connection.sendall(b" ")


def not_http(connection, released):
    connection.sendall(b"220 mail.example ESMTP\r\n")


def drip_head(connection, released):
    """Send a header that never ends, byte by byte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not released.wait(0.02):
        connection.sendall(b"x")


def go_on_for_ever(connection, released):
    """Say that the reply is about to come, again and again."""
    while not released.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
