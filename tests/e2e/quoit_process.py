"""The program under test as a process: configuration in, port and metrics out."""
import copy
import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.error
import urllib.request

from ports import free_port, only_listener
from waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("QUOIT_BIN", TOP / "build/release/quoit"))

SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion `.*' failed")

# What every test wants unless it says otherwise; merge() lays a test's own configuration over it.
DEFAULTS = {
    "workers": 2,
    "drain_timeout": "10s",
    "log": {"level": "debug", "format": "json"},
}


def merge(base, over):
    """base with over laid on top, mappings merged key by key; neither is changed."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    return {key: merge(base[key], over[key]) if key in base and key in over
            else copy.deepcopy(over.get(key, base.get(key))) for key in [*base, *over]}


def static_pool(origins, **more):
    """A pool of the given origins (or addresses)."""
    addresses = [getattr(origin, "address", origin) for origin in origins]
    return {"endpoints": addresses, **more}


def whole_lines(text):
    """The last one may be half written."""
    return text[:text.rfind("\n") + 1].splitlines()


def run_quoit(*arguments, stdin=None, timeout=30, env=None):
    """Runs the program to its end; the result has returncode, stdout and stderr."""
    result = subprocess.run(
        [str(BINARY), *map(str, arguments)], input=stdin, stdin=None if stdin else
        subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})}, check=False)
    assert not SANITIZER.search(result.stderr), result.stderr
    return result


class Metrics:
    """A page in the Prometheus text format, parsed and checked as strictly as a scraper does."""

    SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
    LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)')

    def __init__(self, text):
        self.text, self.types, self.samples = text, {}, {}
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"two TYPE lines for {name}"
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self._add(line)

    def _add(self, line):
        match = self.SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        pairs = self.LABEL.findall(labels or "")
        assert ",".join(f'{n}="{v}"' for n, v in pairs) == (labels or ""), f"labels of {line!r}"
        key = (name, frozenset(pairs))
        assert key not in self.samples, f"twice: {line!r}"
        self.samples[key] = float(value)

    def select(self, name, **labels):
        """All samples of a name that carry these labels: {labels: value}."""
        wanted = set(labels.items())
        return {key: value for (found, key), value in self.samples.items()
                if found == name and wanted <= key}

    def sum(self, name, **labels):
        """Their sum; a name that does not exist at all is a failure."""
        assert any(found == name for found, _ in self.samples), f"no metric {name}"
        return sum(self.select(name, **labels).values())


class Quoit:
    """One `quoit serve`. start() returns once it is ready; close() checks how it ended."""

    def __init__(self, configuration, folder, name="quoit"):
        self.configuration, self.folder, self.name = configuration, folder, name
        self.port = self.admin_port = self.process = None
        self.stderr_path = folder / f"{name}.log"
        self.access_path = folder / f"{name}.access.log"
        self.expected_status = 0

    # --- life -------------------------------------------------------------------------------

    def start(self, wait_ready=True):
        for _ in range(5):
            self.port, self.admin_port = free_port(), free_port()
            self._spawn()
            if not wait_ready or self._comes_up():
                return
            if "in use" not in self.log() and not self._shares_its_port():
                break
            self._give_up()
        self._give_up()
        raise AssertionError(f"{self.name} did not start:\n{self.log()}")

    def _comes_up(self):
        wait_until(lambda: self._is_up() or self.process.poll() is not None, 20,
                   lambda: f"{self.name} ready\n{self.log()}")
        return self._is_up() and not self._shares_its_port()

    def _is_up(self):
        """Whether it is ready; and it must be itself that says so, not somebody on its port."""
        return (self.process.poll() is None and only_listener(self.pid, self.admin_port)
                and self.admin("/readyz")[0] == 200)

    def _shares_its_port(self):
        """Another process can have taken the same port meanwhile: SO_REUSEPORT allows it."""
        return (self.process.poll() is None and "listeners" not in self.configuration
                and not only_listener(self.pid, self.port))

    def _give_up(self):
        self.process.terminate()
        self.expected_status = self.process.wait(20)

    def _spawn(self):
        self.expected_status = 0
        configuration = dict(self.configuration)
        listener = configuration.pop("listener", {})  # options of the listener that there is
        whole = merge(DEFAULTS, {
            "listeners": [{"address": f"127.0.0.1:{self.port}", **listener}],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "log": {"access": str(self.access_path)},
        })
        path = self.folder / f"{self.name}.yaml"
        path.write_text(json.dumps(merge(whole, configuration), indent=2))
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                [str(BINARY), "serve", "--config", str(path)], stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr)

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        """Stops it, and returns when all its threads stand still."""
        self.signal(signal.SIGSTOP)
        tasks = list(pathlib.Path(f"/proc/{self.pid}/task").iterdir())
        wait_until(lambda: all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
                               for task in tasks), 10, "all threads to stop")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=20):
        """SIGTERM, and the exit status it leads to."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def close(self):
        """Ends the process if it runs; fails on a bad exit status or a sanitizer's report."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(25)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"{self.name} did not end on SIGTERM") from None
        report = SANITIZER.search(self.log())
        assert not report, f"{self.name}: {report.group()}; see its log"
        status = self.process.returncode
        assert status == self.expected_status, f"{self.name} ended with {status}"

    # --- what it says -----------------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def admin(self, path):
        """GET on the admin listener: (status, text); status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self):
        status, text = self.admin("/metrics")
        assert status == 200
        return Metrics(text)

    def log(self):
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    def events(self, name=None):
        """The event log's lines as dictionaries, all of them or those of one event."""
        lines = (json.loads(line) for line in whole_lines(self.log()) if line.startswith("{"))
        return [line for line in lines if name is None or line["event"] == name]

    def access(self):
        """The access log's lines, as dictionaries if it is JSON."""
        lines = whole_lines(self.access_path.read_text()) if self.access_path.exists() else []
        return [json.loads(line) if line.startswith("{") else line for line in lines]

    def wait_access(self, n, timeout=5):
        """The access log once it has n lines (it is written with a delay)."""
        return wait_until(lambda: len(lines := self.access()) >= n and lines, timeout,
                          lambda: f"{n} access log lines; there are {self.access()}")

    def usable(self, pool):
        """How many endpoints of a pool take requests, as the metrics say."""
        return int(self.metrics().sum("quoit_pool_usable_endpoints", pool=pool))

    def state(self, pool):
        """{endpoint: state word} of a pool, as the metrics say."""
        found = map(dict, self.metrics().select("quoit_endpoint_state", pool=pool))
        return {labels["endpoint"]: labels["state"] for labels in found}
