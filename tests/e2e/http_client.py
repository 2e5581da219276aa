"""Small HTTP clients for tests: one that is polite and one that sends bytes."""
import http.client
import socket
import struct


class Answer:
    def __init__(self, response, body):
        self.status, self.version, self.body = response.status, response.version, body
        self.fields = response.getheaders()
        self.will_close = response.will_close

    def header(self, name):
        """A field's value, None without it; one that came twice is a failure."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def origin(self):
        return self.header("x-origin")


class Client:
    """A keep-alive connection; a context manager."""

    def __init__(self, port, host="127.0.0.1", timeout=15):
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def __enter__(self):
        self.connection.connect()
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send(self, method, target, body=None, **fields):
        """fields: names with _ for -."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.request(method, target, body, headers)

    def receive(self):
        response = self.connection.getresponse()
        return Answer(response, response.read())

    def ask(self, method, target, body=None, **fields):
        self.send(method, target, body, **fields)
        return self.receive()

    def get(self, target, **fields):
        return self.ask("GET", target, **fields)


def get(port, target, **fields):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.get(target, **fields)


class RawClient:
    """Bytes out, bytes in; a context manager. For what no polite client would send."""

    def __init__(self, port, host="127.0.0.1", timeout=15, source=None, receive_buffer=None):
        """source: the address to come from. receive_buffer: bytes the kernel takes on its own."""
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        try:
            self.sock.connect((host, port))
        except OSError:
            self.sock.close()
            raise
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Closes with RST: unlike FIN, it says that nobody waits for an answer any more."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def read_until(self, mark):
        while mark not in self.buffer:
            data = self.sock.recv(65536)
            assert data, f"closed before {mark!r}; got {self.buffer!r}"
            self.buffer += data
        end = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    def read_exactly(self, n):
        while len(self.buffer) < n:
            data = self.sock.recv(65536)
            assert data, f"closed before {n} bytes; got {self.buffer!r}"
            self.buffer += data
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def read_to_end(self):
        """Until the other side closes; a reset counts as an end."""
        while True:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                taken, self.buffer = self.buffer, b""
                return taken
            self.buffer += data


def raw(port, data):
    """Sends bytes and returns everything that comes back until the other side closes."""
    with RawClient(port) as client:
        client.send(data)
        return client.read_to_end()
