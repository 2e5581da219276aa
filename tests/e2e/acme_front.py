"""Stands in front of Pebble and adds what this one lacks: advice on renewal (RFC 9773), answers that
say to come later, and a record of what was asked."""
import base64
import http.client
import http.server
import json
import ssl
import threading
from datetime import datetime, timedelta, timezone

from ports import free_port


class AcmeFront:
    """https://localhost:port; Pebble sees the same Host, so that its URLs lead here."""

    def __init__(self, pebble):
        self.pebble, self.port = pebble, free_port()
        self.window = None  # (start, end) in seconds from now; None: no advice
        self.busy = {}  # path: [(status, fields, body)], answered before Pebble is asked
        self.renames = None  # (before, after) in authorizations
        self.held = threading.Event()  # set: answers come
        self.held.set()
        self.requests = []  # (method, path, payload)
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                front.handle(self)

            do_POST = do_HEAD = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.pair.cert, pebble.pair.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    @property
    def ca_file(self):
        return self.pebble.ca_file

    def close(self):
        self.held.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def payloads(self, path):
        return [payload for _, asked, payload in self.requests if asked == path]

    def advised(self):
        """The certificates that advice was asked for."""
        return [path.removeprefix("/renewal-info/") for _, path, _ in self.requests
                if path.startswith("/renewal-info/")]

    def handle(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append((handler.command, handler.path, self._payload(body)))
        self.held.wait(120)
        waiting = self.busy.get(handler.path)
        if waiting:
            status, fields, text = waiting.pop(0)
        elif handler.path.startswith("/renewal-info/"):
            status, fields, text = self._advise()
        else:
            status, fields, text = self._pass_on(handler, body)
        handler.send_response(status)
        for name, value in fields:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(text)

    @staticmethod
    def _payload(body):
        if not body:
            return None
        text = json.loads(body)["payload"]
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or "null")

    def _advise(self):
        now = datetime.now(timezone.utc)
        start, end = (f"{now + timedelta(seconds=at):%Y-%m-%dT%H:%M:%SZ}" for at in self.window)
        text = json.dumps({"suggestedWindow": {"start": start, "end": end}}).encode()
        return 200, [("Content-Type", "application/json"), ("Retry-After", "21600")], text

    def _pass_on(self, handler, body):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        connection = http.client.HTTPSConnection("localhost", self.pebble.port, timeout=30,
                                                 context=context)
        fields = {"Host": f"localhost:{self.port}", "User-Agent": "front"}
        if "Content-Type" in handler.headers:
            fields["Content-Type"] = handler.headers["Content-Type"]
        connection.request(handler.command, handler.path, body, fields)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        kept = [(name, value) for name, value in answer.getheaders()
                if name.lower() in ("content-type", "location", "replay-nonce", "retry-after")]
        if handler.path == "/dir" and self.window is not None:
            directory = json.loads(text)
            directory["renewalInfo"] = f"https://localhost:{self.port}/renewal-info"
            text = json.dumps(directory).encode()
        if self.renames and handler.path.startswith("/authZ/"):
            text = text.replace(*self.renames)
        return answer.status, kept, text
