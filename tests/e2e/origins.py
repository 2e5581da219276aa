#!/usr/bin/python3
"""Origins: small HTTP/1.1 servers that say who they are, remember what they got, and misbehave.

Origin runs in threads of the test itself: the test sees every request head as it came and can
program the answers. OriginProcess is the same server in a process of its own, to be killed or
stopped by signal; the query of a request programs its answers.

What a request's query asks for: status=503, bytes=100000 (body size), delay=0.5 (seconds before the
answer), chunked=1, drip=0.05 (seconds between the pieces of the body), close=1 (Connection: close).
"""
import argparse
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from accepting import Acceptor, stop_listening
from ports import bind_free
from waiting import wait_until

HEALTH_PATH = "/health"


class Request:
    """One request as it arrived. head holds the raw bytes up to and including the empty line."""

    def __init__(self, head, connection):
        self.head = head
        self.connection = connection  # a number, the same for all requests of one connection
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:-2]]
        self.body = b""
        self.trailers = b""

    def values(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def header(self, name):
        """The value of a field, None without it; a field that came twice is a failure."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self):
        return self.target.split("?")[0]

    def argument(self, name, default):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.target).query)
        return type(default)(query[name][0]) if name in query else default


class Response:
    def __init__(self, status=200, body=b"", fields=(), chunked=False, delay=0.0, drip=0.0,
                 close=False):
        self.status, self.body, self.fields = status, body, list(fields)
        self.chunked, self.delay, self.drip, self.close = chunked, delay, drip, close

    def head(self):
        lines = [f"HTTP/1.1 {self.status} Because", *(f"{n}: {v}" for n, v in self.fields)]
        if self.chunked:
            lines.append("transfer-encoding: chunked")
        elif self.status >= 200 and self.status not in (204, 304):
            lines.append(f"content-length: {len(self.body)}")
        if self.close:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def pieces(self):
        """The body as it goes out, cut where a pause or a chunk border falls."""
        if not self.chunked and not self.drip:
            return [self.body] if self.body else []
        size = max(1, min(len(self.body), 4096))
        cuts = [self.body[i:i + size] for i in range(0, len(self.body), size)]
        if not self.chunked:
            return cuts
        return [b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts] + [b"0\r\n\r\n"]


class Disconnected(Exception):
    """The peer went away in the middle; not an error of the origin."""


class Connection:
    """One accepted socket with its read buffer. Behaviours may use it to answer byte by byte."""

    def __init__(self, sock, number):
        self.sock, self.number, self.buffer = sock, number, b""

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Disconnected
        self.buffer += data

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def take_through(self, mark):
        while mark not in self.buffer:
            self.fill()
        return self.take(self.buffer.index(mark) + len(mark))

    def read_head(self):
        return Request(self.take_through(b"\r\n\r\n"), self.number)

    def read_body(self, request):
        """Reads the body into request.body, the trailer section into request.trailers."""
        if "chunked" in (request.header("transfer-encoding") or "").lower():
            while size := int(self.take_through(b"\r\n").split(b";")[0], 16):
                request.body += self.take(size)
                self.take(2)
            while (line := self.take_through(b"\r\n")) != b"\r\n":
                request.trailers += line
        else:
            request.body = self.take(int(request.header("content-length") or 0))


class Origin:
    """A server in threads of this process; a context manager.

    behaviour(request) returns a Response, or None for the usual answer. raw_behaviour(connection,
    request), if set, is called before the body is read and answers by itself; what it returns says
    whether the connection goes on.
    """

    def __init__(self, name="origin", port=0, host="127.0.0.1"):
        self.name, self.host = name, host
        self.requests = []  # in order of arrival, health checks left out
        self.health_checks = 0
        self.health_status = 200
        self.accepted = 0
        self.behaviour = self.raw_behaviour = None
        self._connections, self._lock = set(), threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        # Whoever takes the place of this one shall not have to wait for its connections to go.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port:
            self._listener.bind((host, port))
        else:
            bind_free(self._listener, host)
        self._listener.listen(1024)
        self.port = self._listener.getsockname()[1]
        self._closed = False
        Acceptor(self._begin).listen(self._listener)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def close(self):
        """Stops listening and cuts every connection."""
        self._closed = True
        stop_listening(self._listener)
        self.cut_connections()

    def cut_connections(self):
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def open_connections(self):
        with self._lock:
            return len(self._connections)

    def _begin(self, sock, _):
        with self._lock:
            connection = Connection(sock, self.accepted)
            self.accepted += 1
            self._connections.add(connection)
        return lambda: self._serve(connection)

    def _serve(self, connection):
        try:
            while not self._closed and self._serve_one(connection):
                pass
        except (OSError, Disconnected):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.sock.close()

    def _serve_one(self, connection):
        request = connection.read_head()
        if request.path == HEALTH_PATH:
            with self._lock:
                self.health_checks += 1
            return self._answer(connection, request, Response(self.health_status, b"health\n"))
        if self.raw_behaviour:
            self._remember(request)
            return self.raw_behaviour(connection, request)
        if "100-continue" in (request.header("expect") or "").lower():
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_body(request)
        self._remember(request)
        response = self.behaviour(request) if self.behaviour else None
        return self._answer(connection, request, response or self.usual(request))

    def _remember(self, request):
        with self._lock:
            self.requests.append(request)

    def usual(self, request):
        """What the query asks for; without a query, a line that names origin and target."""
        body = f"{self.name} {request.method} {request.target}\n".encode()
        size = request.argument("bytes", -1)
        if size >= 0:
            body = (body * (size // len(body) + 1))[:size]
        return Response(request.argument("status", 200), body,
                        chunked=bool(request.argument("chunked", 0)),
                        delay=request.argument("delay", 0.0), drip=request.argument("drip", 0.0),
                        close=bool(request.argument("close", 0)))

    def _answer(self, connection, request, response):
        response.fields.append(("x-origin", self.name))
        if response.delay:
            time.sleep(response.delay)
        pieces = [] if request.method == "HEAD" else response.pieces()
        if response.drip:
            connection.send(response.head())
            for piece in pieces:
                connection.send(piece)
                time.sleep(response.drip)
        else:
            connection.send(response.head() + b"".join(pieces))
        asked = (request.header("connection") or "").lower()
        keep = request.version == "HTTP/1.1" and "close" not in asked
        return keep and not response.close


class OriginProcess:
    """An origin in a process of its own, at the same port after every restart."""

    def __init__(self, name):
        self.name, self.port, self.process = name, 0, None
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).resolve()), "--name", self.name,
             "--port", str(self.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def freeze(self):
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", 5, f"{self.name} stopped")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def _state(self):
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def command(self, **what):
        """Sends a command and returns the origin's numbers; health_status=503 is one."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        """Ends the process, whatever state it is in."""
        if self.process.poll() is None:
            self.thaw()
            self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with Origin(arguments.name, arguments.port) as origin:
        print(origin.port, flush=True)
        for line in sys.stdin:  # ends when the test does, however it ends
            for name, value in json.loads(line).items():
                setattr(origin, name, value)
            numbers = {"requests": len(origin.requests), "accepted": origin.accepted,
                       "health_checks": origin.health_checks,
                       "open_connections": origin.open_connections()}
            print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
