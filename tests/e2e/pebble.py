"""Pebble, the ACME test authority of Let's Encrypt, with a DNS server of its own for all names."""
import json
import os
import shutil
import ssl
import subprocess
import urllib.request

import pytest

from ports import free_port
from waiting import wait_until


class Pebble:
    """A running authority; every name is at 127.0.0.1, where it asks on two ports of ours."""

    def __init__(self, folder, authority, http_port, tls_port, validity_s=None, bindings=None,
                 blocked=(), nonce_reject=5):
        for program in ("pebble", "pebble-challtestsrv"):
            if not shutil.which(program):
                pytest.fail(f"{program} is missing: apt-get install pebble")
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.pair = authority.issue("localhost", "DNS:localhost", file=f"pebble-{folder.name}")
        self.ca_file = authority.cert
        self.port, self.management_port, self.dns_port = free_port(), free_port(), free_port()
        self.configuration = self.folder / "pebble.json"
        self.nonce_reject = nonce_reject
        self.processes = []
        conf = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(self.pair.cert), "privateKey": str(self.pair.key),
            "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(bindings), "domainBlocklist": list(blocked),
        }
        if bindings:
            conf["externalAccountMACKeys"] = bindings
        if validity_s:
            conf["certificateValidityPeriod"] = validity_s
        self.configuration.write_text(json.dumps({"pebble": conf}))

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    def _run(self, name, *arguments, **environment):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes.append(subprocess.Popen(
                [name, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **environment}))

    def start(self):
        self._run("pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns_port}", "-http01", "",
                  "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}",
                  "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
        self._run("pebble", "-strict", "-config", str(self.configuration), "-dnsserver",
                  f"127.0.0.1:{self.dns_port}", PEBBLE_VA_NOSLEEP="1", PEBBLE_AUTHZREUSE="0",
                  PEBBLE_WFE_NONCEREJECT=str(self.nonce_reject))
        wait_until(self._answers, 30, lambda: f"pebble; it says {self.log()}")
        return self

    def _answers(self):
        assert all(process.poll() is None for process in self.processes), self.log()
        try:
            return self.fetch(self.directory)
        except OSError:
            return None

    def fetch(self, url):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return answer.read()

    def roots(self, path):
        """Writes the roots of what it issues to a file."""
        path.write_bytes(self.fetch(f"https://localhost:{self.management_port}/roots/0"))
        return path

    def log(self):
        return "\n".join(file.read_text(errors="replace")
                         for file in sorted(self.folder.glob("*.log")))

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(20)
        self.processes = []
