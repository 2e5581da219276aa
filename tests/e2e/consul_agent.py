"""A real Consul agent: a server of its own on loopback, with data that survives its restart."""
import json
import os
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.request

from ports import free_port
from waiting import wait_until

GET_CONSUL = pathlib.Path(__file__).resolve().parents[1] / "tools/get_consul.sh"
NODE = "e2e"


def consul_binary():
    result = subprocess.run([str(GET_CONSUL)], capture_output=True, text=True, timeout=300,
                            check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


class ConsulAgent:
    """start() returns once it has elected itself; kill() is SIGKILL; the ports stay the same.

    configuration is laid over the agent's own; token goes with every request.
    """

    def __init__(self, folder, token=None, **configuration):
        self.folder, self.process, self.token = folder, None, token
        self.ports = {name: free_port() for name in ("http", "serf_lan", "serf_wan", "server")}
        self.log_path = folder / "consul.log"
        self._write_configuration(configuration)
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['http']}"

    def _write_configuration(self, more):
        configuration = {
            "server": True, "bootstrap_expect": 1, "node_name": NODE,
            "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
            "data_dir": str(self.folder / "consul"),
            "ports": {**self.ports, "dns": -1, "grpc": -1},
            # Elections among one member need not take the time of a wide area network.
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True, "log_level": "warn",
            **more,
        }
        (self.folder / "consul.json").write_text(json.dumps(configuration, indent=2))

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [consul_binary(), "agent", "-config-file", str(self.folder / "consul.json")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "CONSUL_HTTP_ADDR": self.url})
        wait_until(self._is_ready, 60, lambda: f"Consul ready:\n{self.log_path.read_text()}")

    def _is_ready(self):
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            return any(node["Node"] == NODE for node in self.request("GET", "/v1/catalog/nodes"))
        except (OSError, urllib.error.URLError):
            return False

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def forget(self):
        """Takes all data from an agent that does not run: the next start is a new cluster."""
        assert self.process.poll() is not None
        shutil.rmtree(self.folder / "consul")

    def request(self, method, path, body=None):
        """A call of the HTTP API; returns the decoded answer, None if it has none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        if self.token:
            request.add_header("X-Consul-Token", self.token)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def register(self, service, instance, port, **more):
        """Registers an instance on 127.0.0.1; more: Weights, Tags, Checks, … as the API has them."""
        self.request("PUT", "/v1/agent/service/register", {
            "Name": service, "ID": instance, "Address": "127.0.0.1", "Port": port, **more})

    def deregister(self, instance):
        self.request("PUT", f"/v1/agent/service/deregister/{instance}")

    def maintain(self, enable, instance=None):
        """Maintenance mode of an instance, or of the whole node; on or off."""
        what = f"service/maintenance/{instance}" if instance else "maintenance"
        self.request("PUT", f"/v1/agent/{what}?enable={str(enable).lower()}")

    def set_check(self, instance, status):
        """The state of an instance's TTL check: passing, warning or critical."""
        self.request("PUT", f"/v1/agent/check/update/service:{instance}", {"Status": status})
