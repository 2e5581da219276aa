"""The proxies that run.py compares: how each is configured, started, and what it has used.

Every one has one worker, keeps its connections to the origin open, adds the fields that say where a
request came from, writes no access log, and where it can it hashes the target consistently, which
is what quoit does unless told otherwise. The rest is as Debian's packages have it. Clients come over
one of FRONTS: HTTP/1.1, TLS with HTTP/1.1 or HTTP/2 in it, or HTTP/2 by prior knowledge.
"""
import contextlib
import os
import pathlib
import resource
import socket
import subprocess
import sys

from processes import listening

TICKS = os.sysconf("SC_CLK_TCK")
PROXY_CORE, LOAD_CORE = 0, 1
WORKERS = {"quoit-1": 1, "quoit-2": 2}
# Those that speak HTTP/2 (h2c) to the origin.
H2C = {"quoit-h2c": "quoit", "nghttpx-h2c": "nghttpx"}
FRONTS = ("http1", "tls", "http2")

NGINX = """
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    proxy_http_version 1.1;
    client_body_buffer_size 64k;
    proxy_max_temp_file_size 0;
{tuning}    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_to_origin;
    map $http_upgrade $connection_to_origin {{
        default Upgrade;
        '' '';
    }}
    upstream origin {{
        hash $request_uri consistent;
        server 127.0.0.1:{origin};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} {listen};
        location / {{ proxy_pass http://origin; }}
    }}
}}
"""

NGINX_LISTEN = {
    "http1": "deferred",
    "tls": "deferred ssl http2; ssl_certificate {certificate}; ssl_certificate_key {certificate}; "
           "ssl_protocols TLSv1.2 TLSv1.3",
    "http2": "deferred http2",
}

HAPROXY = """
global
    nbthread 1
    maxconn {half_descriptors}
    maxpipes 40
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    timeout tunnel 60s
    http-reuse always
    option forwardfor
{tuning}frontend front
    bind 127.0.0.1:{port} defer-accept {listen}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend back
backend back
    balance uri
    hash-type consistent
    server origin 127.0.0.1:{origin}
"""
HAPROXY_LISTEN = {
    "http1": "",
    "tls": "ssl crt {certificate} alpn h2,http/1.1",
    "http2": "proto h2",
}

# One that speaks both protocols to proxies, by port.
NGINX_ORIGIN = """
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{http1};
        listen 127.0.0.1:{h2c} http2;
        location / {{ return 200 {body}; }}
    }}
}}
"""

# What makes long bodies cheap, at the price of memory; not what the packages come with.
NGINX_TUNING = """
    proxy_buffer_size 16k;
    proxy_buffers 8 64k;
    proxy_busy_buffers_size 128k;
"""
HAPROXY_TUNING = """
    option splice-request
    option splice-response
"""


def raise_descriptor_limit():
    """As far as it goes without privileges; all that is started inherits it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pinned(core, command):
    command = [str(word) for word in command]
    if core is None or os.cpu_count() == 1:
        return command
    return ["taskset", "-c", str(core), *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """A file with an ECDSA P-256 certificate and its key: HAProxy wants both in one."""
    path = folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", path, "-out", folder / "cert",
                    "-days", "30", "-subj", "/CN=localhost"], check=True, capture_output=True)
    with path.open("ab") as both:
        both.write((folder / "cert").read_bytes())
    return path


@contextlib.contextmanager
def running_origin(binary):
    """Yields the port of the origin."""
    process = subprocess.Popen(pinned(LOAD_CORE, [binary, 0]), stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_both_origin(folder):
    """nginx, which answers 100 bytes; yields its ports for HTTP/1.1 and for HTTP/2."""
    folder.mkdir()
    http1, h2c = free_port(), free_port()
    path = configured(NGINX_ORIGIN, folder / "nginx.conf", http1=http1, h2c=h2c, body="x" * 100)
    command = ["/usr/sbin/nginx", "-e", folder / "nginx.log", "-c", path]
    with listening(pinned(LOAD_CORE, command), http1, folder / "output"):
        yield http1, h2c


class Proxy:
    def __init__(self, name, front, port, process):
        self.name, self.front, self.port, self.process = name, front, port, process

    def pids(self):
        """The process and its children: nginx and nghttpx have a worker."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def cpu_seconds(self):
        """User and system time of all threads of all its processes so far."""
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident_bytes(self):
        total = 0
        for pid in self.pids():
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in rollup.splitlines()
                         if line.startswith("Rss:"))
        return total * 1024


def quoit_command(binary, front, port, origin, certificate, workers, more=()):
    options = [f"listeners.0.address=127.0.0.1:{port}", "listeners.0.defer_accept=true",
               "pools.default.max_idle=512",
               # All come from few addresses, and take what descriptors there are.
               "client.max_connections=10000000", "client.max_connections_per_address=0",
               "client.max_requests=0", *more]
    if front == "tls":
        options.append(f"listeners.0.tls.certificates.0.cert={certificate}")
    if front == "http2":
        options.append("listeners.0.http2=only")
    command = [binary, "serve", "--backend", f"127.0.0.1:{origin}", "--workers", workers]
    return command + [word for option in options for word in ("--set", option)]


def nghttpx_command(front, port, origin, certificate, protocol="http/1.1"):
    tls = [certificate, certificate] if front == "tls" else []
    return ["/usr/sbin/nghttpx", "--conf=/dev/null",
            f"--frontend=127.0.0.1,{port}{'' if tls else ';no-tls'}",
            f"--backend=127.0.0.1,{origin};;proto={protocol}", "--workers=1", "--add-x-forwarded-for",
            "--backend-keep-alive-timeout=60s", "--no-ocsp", *tls]


def configured(template, path, **values):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    path.write_text(template.format(folder=path.parent, descriptors=limit,
                                    half_descriptors=(limit - 150) // 2, **values))
    return path


def command_of(name, front, folder, port, origin, tools):
    """tools: the paths of quoit, of the bench's own programs and of the certificate."""
    certificate = tools["certificate"]
    if name in ("floor", "splice"):
        return [tools["bench_floor"], port, origin, name]
    if name in ("quoit", "before"):
        return quoit_command(tools[name], front, port, origin, certificate, 1)
    if name in WORKERS:
        return quoit_command(tools["quoit"], front, port, origin, certificate, WORKERS[name])
    if name == "quoit-h2c":
        return quoit_command(tools["quoit"], front, port, origin, certificate, 1,
                             ["pools.default.http2=only"])
    if name == "nghttpx-h2c":
        return nghttpx_command(front, port, origin, certificate, "h2")
    if name == "nghttpx":
        return nghttpx_command(front, port, origin, certificate)
    if name in ("nginx", "nginx-tuned"):
        path = configured(NGINX, folder / "nginx.conf", port=port, origin=origin,
                          listen=NGINX_LISTEN[front].format(certificate=certificate),
                          tuning=NGINX_TUNING if name == "nginx-tuned" else "")
        return ["/usr/sbin/nginx", "-e", folder / "nginx.log", "-c", path]
    if name in ("haproxy", "haproxy-tuned"):
        path = configured(HAPROXY, folder / "haproxy.cfg", port=port, origin=origin,
                          listen=HAPROXY_LISTEN[front].format(certificate=certificate),
                          tuning=HAPROXY_TUNING if name == "haproxy-tuned" else "")
        return ["/usr/sbin/haproxy", "-db", "-f", path]
    sys.exit(f"no proxy is called {name}")


@contextlib.contextmanager
def running_proxy(name, front, folder, origin, tools, core=PROXY_CORE, wrapper=()):
    """Yields a Proxy that answers. folder is its own; core None: wherever the kernel puts it."""
    port = free_port()
    folder.mkdir()
    command = [*wrapper, *command_of(name, front, folder, port, origin, tools)]
    with listening(pinned(core, command), port, folder / "output") as process:
        yield Proxy(name, front, port, process)
