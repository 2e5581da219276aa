"""A scripted Consul agent, for the faults that a real one will not produce.

It answers GET /v1/health/service/:name as Consul does, blocking queries included: they wait for a
change of that service and then answer at once. A fault replaces or spoils the answer to one query
(fail_next) or to all of them until it is taken away (fault).
"""
import collections
import contextlib
import json
import socket
import threading
import time
import urllib.parse

from accepting import Acceptor, stop_listening

FIELDS = {"X-Consul-KnownLeader": "true", "X-Consul-LastContact": "0"}


def instance(name, port, address="127.0.0.1", status="passing", node="fake", **service):
    """An entry of an answer; more: Weights, Tags, … of its Service."""
    return {
        "Node": {"Node": node, "Address": "127.0.0.1", "Datacenter": "dc1"},
        "Service": {"ID": name, "Service": "", "Address": address, "Port": port,
                    "Weights": {"Passing": 1, "Warning": 1}, **service},
        "Checks": [{"CheckID": f"service:{name}", "ServiceID": name, "Status": status}],
    }


class Question:
    """One query as it came in."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.target = lines[0].split(" ")[1]
        self.at = time.monotonic()
        path, _, query = self.target.partition("?")
        self.service = urllib.parse.unquote(path.rpartition("/")[2])
        self.arguments = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.fields = {name.strip().lower(): value.strip() for name, _, value in
                       (line.partition(":") for line in lines[1:] if line)}

    @property
    def index(self):
        return int(self.arguments.get("index", 0))

    @property
    def wait_seconds(self):
        text = self.arguments["wait"]
        assert text.endswith("ms"), text
        return int(text[:-2]) / 1000


class Answer:
    """What is about to be sent; a fault changes it, or sends something itself."""

    def __init__(self, index, body):
        self.status, self.body = 200, body
        self.fields = {**FIELDS, "X-Consul-Index": str(index), "Content-Type": "application/json"}

    def bytes(self):
        fields = {**self.fields, "Content-Length": len(self.body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} Fake\r\n{lines}\r\n".encode() + self.body


# --- faults: functions of (connection, answer) that return whether the answer is still to be sent ---


def status(code, text="fake trouble"):
    def fault(_, answer):
        answer.status, answer.body = code, text.encode()
        answer.fields = {}
        return True

    return fault


def body(data):
    """Another body under the same head."""
    def fault(_, answer):
        answer.body = data
        return True

    return fault


def truncated(_, answer):
    """JSON that ends early, in an answer that is otherwise complete."""
    answer.body = answer.body[:len(answer.body) * 2 // 3]
    return True


def cut(connection, answer):
    """The connection ends within the body."""
    data = answer.bytes()
    connection.sendall(data[:-len(answer.body) // 2])
    connection.close()
    return False


def close(connection, _):
    connection.close()
    return False


def hang(connection, _):
    """No byte, until the client gives up."""
    while connection.recv(65536):
        pass
    return False


def slow_loris(connection, answer):
    """A byte now and then, for as long as the client listens."""
    connection.settimeout(0.1)
    for i in range(len(answer.bytes()) - 1):
        with contextlib.suppress(TimeoutError):
            if not connection.recv(65536):
                break
        connection.sendall(answer.bytes()[i:i + 1])
    return False


def fields(**values):
    """Other header fields, names with _ for -; None takes one away."""
    def fault(_, answer):
        for name, value in values.items():
            name = name.replace("_", "-")
            answer.fields.pop(name, None)
            if value is not None:
                answer.fields[name] = value
        return True

    return fault


def both(*faults):
    return lambda connection, answer: all(fault(connection, answer) for fault in faults)


class FakeConsul:
    """Listens from the start; stop() and start() are the agent's end and return at its port.

    tls, an ssl.SSLContext, makes it speak HTTPS.
    """

    def __init__(self, tls=None):
        self.port, self.tls = 0, tls
        self.questions = []
        self.n_connections = 0  # ever accepted
        self._services = collections.defaultdict(list)
        self._indexes = collections.defaultdict(lambda: self._index)
        self._index = 10
        self._fault = None
        self._next = collections.deque()
        self._kicks = 0
        self._changed = threading.Condition()
        self._listener, self._connections = None, set()
        self._acceptor = Acceptor(self._begin)
        self.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    # --- what it knows ----------------------------------------------------------------------

    def set(self, service, instances, index=None):
        """The service has these instances now; index: not the next one, but this."""
        with self._changed:
            self._index = self._index + 1 if index is None else index
            self._services[service] = list(instances)
            self._indexes[service] = self._index
            self._changed.notify_all()

    @property
    def fault(self):
        return self._fault

    @fault.setter
    def fault(self, fault):
        """Spoils every answer from now on, those to waiting queries at once; None: no more."""
        with self._changed:
            self._fault = fault
            self._kicks += 1
            self._changed.notify_all()

    def fail_next(self, fault):
        """Spoils the next answer; queries that wait are answered at once."""
        with self._changed:
            self._next.append(fault)
            self._kicks += 1
            self._changed.notify_all()

    # --- life -------------------------------------------------------------------------------

    def start(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._acceptor.listen(self._listener)

    def stop(self):
        """Refuses connections and ends those there are."""
        stop_listening(self._listener)
        with self._changed:
            self._kicks += 1
            self._changed.notify_all()
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()

    def _begin(self, connection, listener):
        with self._changed:
            self.n_connections += 1
            self._connections.add(connection)
            if listener.fileno() < 0:  # stopped meanwhile
                connection.shutdown(socket.SHUT_RDWR)
        return lambda: self._serve(connection, listener)

    def _serve(self, connection, listener):
        with connection, contextlib.suppress(OSError):
            spoken = self.tls.wrap_socket(connection, True) if self.tls else connection
            with spoken:
                while (question := self._read(spoken)) is not None:
                    answer, fault = self._answer(question, listener)
                    if fault is not None and not fault(spoken, answer):
                        break
                    spoken.sendall(answer.bytes())
        with self._changed:
            self._connections.discard(connection)

    @staticmethod
    def _read(connection):
        """The next question; None at the end. A client that does not wait for answers is none."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = connection.recv(65536)
            if not data:
                return None
            head += data
        return Question(head[:-4])

    def _answer(self, question, listener):
        """The answer and its fault, after the wait that the question asks for."""
        with self._changed:
            self.questions.append(question)
            if question.index >= self._indexes[question.service] and question.index > 0:
                kicks = self._kicks
                self._changed.wait_for(
                    lambda: self._indexes[question.service] != question.index
                    or self._kicks != kicks or self._fault or self._next
                    or listener.fileno() < 0, question.wait_seconds)
            fault = self._next.popleft() if self._next else self._fault
            data = json.dumps(self._services[question.service]).encode()
            return Answer(self._indexes[question.service], data), fault
