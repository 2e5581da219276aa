"""Real gRPC servers, and clients for them. Messages are bytes: there is no schema."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it tells of every handshake that fails

import grpc  # noqa: E402

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
MAX_MESSAGE = 16 << 20


class Health:
    """grpc.health.v1.Health/Check by hand; statuses by name of service, "" for the server."""

    def __init__(self, **statuses):
        self.statuses = {"": SERVING, **statuses}
        self.asked = []  # (service, metadata, seconds left)

    def check(self, request, context):
        service = request[2:].decode() if request else ""
        self.asked.append((service, dict(context.invocation_metadata()), context.time_remaining()))
        if service not in self.statuses:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([8, self.statuses[service]])

    @property
    def handler(self):
        return grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(self.check)})


class Service:
    """test.Test: what a test does with its calls."""

    def __init__(self, name="server"):
        self.name = name
        self.calls = []  # (method, metadata) in the order in which they came
        self.got = []  # messages of streams as they came
        self.go = threading.Event()  # what waits for a test waits for this
        self.cancelled = threading.Event()

    def _note(self, method, context):
        metadata = dict(context.invocation_metadata())
        self.calls.append((method, metadata))
        return metadata

    def echo(self, request, context):
        """The message; metadata that begins with x- comes back, before and behind it."""
        metadata = self._note("Echo", context)
        own = [(key, value) for key, value in metadata.items() if key.startswith("x-")]
        context.send_initial_metadata(own)
        context.set_trailing_metadata([("t" + key, value) for key, value in own])
        return request

    def who(self, _request, context):
        self._note("Who", context)
        return self.name.encode()

    def fail(self, request, context):
        """The code and the words that the message has: b"8 too much"."""
        self._note("Fail", context)
        code, words = request.decode().split(" ", 1)
        context.set_trailing_metadata([("x-why-bin", b"\0\xff")])
        context.set_code(next(c for c in grpc.StatusCode if c.value[0] == int(code)))
        context.set_details(words)
        return b""

    def wait(self, request, context):
        """Answers when the test says so, or never."""
        self._note("Wait", context)
        context.add_callback(self.cancelled.set)
        self.go.wait(30)
        return request

    def count(self, request, context):
        """As many messages as the request says; the second one waits for the test."""
        self._note("Count", context)
        for i in range(int(request)):
            if i == 1:
                self.go.wait(30)
            yield b"%d" % i

    def collect(self, requests, context):
        self._note("Collect", context)
        for request in requests:
            self.got.append(request)
        return b"%d" % sum(map(len, self.got))

    def refuse(self, requests, context):
        """Fails after the first message, whatever else comes."""
        self._note("Refuse", context)
        self.got.append(next(requests))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this")

    def chat(self, requests, context):
        self._note("Chat", context)
        context.add_callback(self.cancelled.set)
        for request in requests:
            yield b"re: " + request

    @property
    def handler(self):
        return grpc.method_handlers_generic_handler("test.Test", {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Who": grpc.unary_unary_rpc_method_handler(self.who),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Refuse": grpc.stream_unary_rpc_method_handler(self.refuse),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        })


class GrpcServer:
    """In threads of the test. services: generic handlers. pair: its certificate; without: no TLS.
    options: of gRPC's own."""

    def __init__(self, *services, pair=None, port=0, **options):
        self.server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(64), handlers=services,
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_MESSAGE),
                     *((f"grpc.{name}", value) for name, value in options.items())])
        if pair:
            credentials = grpc.ssl_server_credentials(
                [(pair.key.read_bytes(), pair.cert.read_bytes())])
            self.port = self.server.add_secure_port(f"127.0.0.1:{port}", credentials)
        else:
            self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def close(self, grace=0):
        """With grace: connections get GOAWAY, and calls may end. Returns an event: it has ended."""
        return self.server.stop(grace)


class GrpcProcess:
    """A server of Service in a process of its own, which can be killed."""

    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, __file__, name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        cwd=pathlib.Path(__file__).parent)
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the server did not start"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class GrpcClient:
    """One channel; what it does again by itself is off, so that nothing hides a failure."""

    def __init__(self, port, ca=None, name=None):
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1),
                   ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", MAX_MESSAGE)]
        if ca:
            options.append(("grpc.ssl_target_name_override", name))
            self.channel = grpc.secure_channel(
                f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca.read_bytes()), options)
        else:
            self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self.echo = self.channel.unary_unary("/test.Test/Echo")
        self.who = self.channel.unary_unary("/test.Test/Who")
        self.fail = self.channel.unary_unary("/test.Test/Fail")
        self.wait = self.channel.unary_unary("/test.Test/Wait")
        self.count = self.channel.unary_stream("/test.Test/Count")
        self.collect = self.channel.stream_unary("/test.Test/Collect")
        self.refuse = self.channel.stream_unary("/test.Test/Refuse")
        self.chat = self.channel.stream_stream("/test.Test/Chat")

    def close(self):
        self.channel.close()


class Messages:
    """What a client sends in a stream, as the test puts it there."""

    END = object()

    def __init__(self):
        self._items, self._changed = [], threading.Condition()

    def put(self, item):
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def end(self):
        self.put(self.END)

    def __iter__(self):
        return self

    def __next__(self):
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, 60):
                raise StopIteration
            item = self._items.pop(0)
        if item is self.END:
            raise StopIteration
        return item


def main():
    """Serves until its standard input ends."""
    service = Service(sys.argv[1])
    service.go.set()
    server = GrpcServer(service.handler)
    print(server.address, flush=True)
    sys.stdin.read()
    server.close(5).wait(10)


if __name__ == "__main__":
    main()
