"""An origin that keeps every byte it receives and does exactly what a test's script says.

A script is a function of one accepted connection; connections are numbered from 0. It runs in a
thread of its own, and the connection is closed when it returns. What goes wrong in a script other
than a connection that ends is kept and raised when the origin is closed.
"""
import itertools
import socket
import threading

from accepting import Acceptor, stop_listening
from ports import free_port
from waiting import wait_until


class Ended(Exception):
    """The balancer closed the connection before the script had what it waited for."""


class ScriptedConnection:
    def __init__(self, sock, number):
        self.sock, self.number = sock, number
        self.received = b""  # everything, whether read by the script or not
        self.closed = False  # by the balancer
        self.was_reset = False  # which it did with a reset
        self.finished = threading.Event()  # closed by us, because the script is over
        self._read = 0

    @property
    def n_read(self):
        """How many of the received bytes the script has read."""
        return self._read

    def send(self, data):
        self.sock.sendall(data)

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.was_reset = True
            data = b""
        if not data:
            self.closed = True
            raise Ended
        self.received += data

    def read_until(self, mark):
        """What comes up to and with the mark."""
        while (at := self.received.find(mark, self._read)) < 0:
            self._fill()
        return self.read_exactly(at + len(mark) - self._read)

    def read_exactly(self, n):
        while len(self.received) - self._read < n:
            self._fill()
        self._read += n
        return self.received[self._read - n:self._read]

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_to_end(self):
        """All that still comes until the balancer closes."""
        begin = self._read
        try:
            while True:
                self._fill()
        except Ended:
            self._read = len(self.received)
            return self.received[begin:]

    def reset(self):
        """Closes with a reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class ScriptedOrigin:
    """Listens on n_addresses loopback addresses, which are as many endpoints of a pool."""

    def __init__(self, script, n_addresses=1, receive_buffer=None):
        self.script = script
        self.connections = []
        self.errors = []
        self._numbers = itertools.count()
        self._listeners = []
        self._acceptor = Acceptor(self._begin)
        port = self._bind(n_addresses, receive_buffer)
        for listener in self._listeners:
            listener.listen(128)
            self._acceptor.listen(listener)
        self.addresses = [f"127.0.0.{i + 1}:{port}" for i in range(n_addresses)]

    def _bind(self, n_addresses, receive_buffer, tries=20):
        """The same port on all addresses: another one if it is taken on one of them."""
        port = free_port()
        for i in range(n_addresses):
            listener = socket.socket()
            self._listeners.append(listener)
            if receive_buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            try:
                listener.bind((f"127.0.0.{i + 1}", port))
            except OSError:
                if tries == 0:
                    raise
                for taken in self._listeners:
                    taken.close()
                self._listeners.clear()
                return self._bind(n_addresses, receive_buffer, tries - 1)
        return port

    def _begin(self, sock, _):
        connection = ScriptedConnection(sock, next(self._numbers))
        self.connections.append(connection)
        return lambda: self._serve(connection)

    def _serve(self, connection):
        try:
            self.script(connection)
        except (Ended, OSError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)
        finally:
            connection.sock.close()
            connection.finished.set()

    @property
    def received(self):
        """All bytes of all connections, in the order in which they were accepted."""
        return b"".join(connection.received for connection in self.connections)

    def wait_received(self, mark):
        return wait_until(lambda: mark in self.received and self.received, 5,
                          lambda: f"{mark!r} at the origin; it got {self.received!r}")

    def close_listener(self, i):
        """Refuses connections to the i-th address from now on; idempotent."""
        stop_listening(self._listeners[i])

    def close(self):
        for i in range(len(self._listeners)):
            self.close_listener(i)
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._acceptor.join()
        if self.errors:
            raise self.errors[0]


def lines_of(head):
    """The lines of a message head without their order: (first line, sorted field lines)."""
    assert head.endswith(b"\r\n\r\n"), head
    first, *fields = head[:-4].split(b"\r\n")
    return first, sorted(fields)


def values_of(head, name):
    """The values of a field of a message head, in order."""
    fields = [line.split(b":", 1) for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    return [value.strip() for field, value in fields if field.lower() == name.lower()]


def reply(body=b"ok", line=b"HTTP/1.1 200 OK", fields=()):
    """A response with a Content-Length."""
    return b"\r\n".join([line, b"Content-Length: %d" % len(body), *fields, b"", body])
