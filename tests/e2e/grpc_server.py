"""A real gRPC server in threads of the test. Messages are bytes: there is no schema."""
import concurrent.futures
import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it tells of every handshake that fails

import grpc  # noqa: E402

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


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


class GrpcServer:
    """services: generic handlers. pair: its certificate; without it there is no TLS."""

    def __init__(self, *services, pair=None, port=0):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=services,
                                  options=[("grpc.so_reuseport", 0),
                                           ("grpc.max_receive_message_length", 16 << 20)])
        if pair:
            credentials = grpc.ssl_server_credentials(
                [(pair.key.read_bytes(), pair.cert.read_bytes())])
            self.port = self.server.add_secure_port(f"127.0.0.1:{port}", credentials)
        else:
            self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def close(self, grace=0):
        """With grace: connections get GOAWAY, and calls may end."""
        return self.server.stop(grace)
