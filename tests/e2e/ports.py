"""Ports that nobody listens on.

Below the kernel's ephemeral range, so that no outgoing connection can take a port between the
moment it is picked and the moment the program under test binds it; whoever starts a program tries
again with other ports should it be taken all the same.
"""
import os
import pathlib
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


def bind_free(sock, address="127.0.0.1"):
    """Binds sock to a free port, which it returns.

    The kernel's own choice would be one of the ephemeral range, which a program with many short
    connections, of this test or another, can use up for a minute.
    """
    while True:
        port = free_port()
        try:
            sock.bind((address, port))
        except OSError:
            continue  # taken meanwhile, or on this address
        return port


def listeners(port):
    """The socket inodes that listen on a port of 127.0.0.1 or of all addresses."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def only_listener(pid, port):
    """Whether process pid listens on the port, and nobody else does (SO_REUSEPORT lets others)."""
    own = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            own.add(target[len("socket:["):-1])
    found = listeners(port)
    return bool(found) and found <= own
