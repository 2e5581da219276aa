"""Ports that nobody listens on.

Below the kernel's ephemeral range, so that no outgoing connection can take a port between the
moment it is picked and the moment the program under test binds it; whoever starts a program tries
again with other ports should it be taken all the same.
"""
import random
import socket

LOW, HIGH = 10000, 32000
_given = set()


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    for _ in range(1000):
        port = random.SystemRandom().randrange(LOW, HIGH)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise AssertionError("no free port in a thousand tries")
