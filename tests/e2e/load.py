"""Load: keep-alive clients that ask for a set of keys over and over and remember every answer."""
import collections
import http.client
import itertools
import threading
import time

from waiting import wait_until


class Record:
    """One request: key, when it began and ended (monotonic seconds), what came of it."""

    __slots__ = ("key", "begun", "ended", "status", "origin", "error", "fresh", "closing")

    def __init__(self, key, fresh):
        self.key, self.fresh = key, fresh  # fresh: the first one on its connection
        self.begun, self.ended = time.monotonic(), None
        self.status = self.origin = self.error = None
        self.closing = False  # the answer said Connection: close

    @property
    def ok(self):
        return self.error is None and self.status == 200

    @property
    def seconds(self):
        return self.ended - self.begun

    def __repr__(self):
        return (f"<{self.key} {self.status} from {self.origin} after {self.seconds:.3f} s"
                f"{' on a fresh connection' if self.fresh else ''}"
                f"{f': {self.error!r}' if self.error else ''}>")


class Load:
    """A context manager: the clients run inside the with block, for at most `seconds`.

    Each client owns one connection and walks over all keys, from a place of its own. An answer that
    is not what the target asked for (a short or foreign body) is an error like a broken connection.
    pause, in seconds, keeps clients from taking the whole machine; keep_alive=False makes a new
    connection for every request; stop_when_refused takes a closed listener for the end.
    """

    def __init__(self, port, keys, clients=8, seconds=60.0, pause=0.002, keep_alive=True,
                 stop_when_refused=False, timeout=15.0):
        self.port, self.keys = port, list(keys)
        self.headers = {} if keep_alive else {"Connection": "close"}
        self.pause, self.timeout = pause, timeout
        self.stop_when_refused = stop_when_refused
        self.records, self.refused = [], 0
        self._deadline = time.monotonic() + seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(i, clients), daemon=True)
                         for i in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_for_requests(len(self.keys))
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(self.timeout + 5)
            assert not thread.is_alive(), "a load client hangs"

    def wait_for_requests(self, n, timeout=30.0):
        """Until n more requests have ended."""
        goal = len(self.records) + n
        wait_until(lambda: len(self.records) >= goal or not self._running(), timeout,
                   lambda: f"{goal} requests done; there are {len(self.records)}")

    def wait_until_refused(self, timeout=30.0):
        """Until every client has found the listener closed (stop_when_refused)."""
        wait_until(lambda: not self._running(), timeout, "every client refused")

    def _running(self):
        return any(thread.is_alive() for thread in self._threads)

    @property
    def errors(self):
        return [record for record in self.records if not record.ok]

    @property
    def by_key(self):
        """For each key, how often each origin answered it."""
        table = collections.defaultdict(collections.Counter)
        for record in self.records:
            if record.ok:
                table[record.key][record.origin] += 1
        return table

    def since(self, moment):
        return [record for record in self.records if record.begun >= moment]

    def _client(self, number, clients):
        connection, fresh = None, True
        begin = number * len(self.keys) // clients
        for key in itertools.islice(itertools.cycle(self.keys), begin, None):
            if self._stop.is_set() or time.monotonic() > self._deadline:
                break
            if connection is None:
                connection, fresh = self._connect(), True
            if connection is None and self.stop_when_refused:
                break
            if connection is None:
                self._stop.wait(0.05)
                continue
            record = Record(key, fresh)
            fresh = False
            self._ask(connection, record)
            self.records.append(record)
            if record.error or record.closing or "Connection" in self.headers:
                connection.close()
                connection = None
            self._stop.wait(self.pause)
        if connection:
            connection.close()

    def _connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        record = Record("(connect)", True)
        try:
            connection.connect()
            return connection
        except ConnectionRefusedError as error:
            self.refused += 1
            record.error = None if self.stop_when_refused else error
        except OSError as error:
            record.error = error
        record.ended = time.monotonic()
        if record.error:
            self.records.append(record)
        return None

    def _ask(self, connection, record):
        try:
            connection.request("GET", record.key, headers=self.headers)
            response = connection.getresponse()
            body = response.read()
            record.status = response.status
            record.origin = response.getheader("x-origin")
            record.closing = response.will_close
            if record.status == 200 and body != f"{record.origin} GET {record.key}\n".encode():
                record.error = AssertionError(f"foreign body {body[:80]!r}")
        except (OSError, http.client.HTTPException) as error:
            record.error = error
        record.ended = time.monotonic()


def keys(n, prefix="/key/"):
    return [f"{prefix}{i}" for i in range(n)]


def owners(port, paths):
    """Which origin answers each key now: one request each, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    table = {}
    try:
        for path in paths:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == 200, f"{path}: {response.status}"
            table[path] = response.getheader("x-origin")
    finally:
        connection.close()
    return table


def moved(before, after):
    """The keys whose owner differs: {key: (old, new)}."""
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}
