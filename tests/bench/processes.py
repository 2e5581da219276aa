"""Processes of the benches: begun, waited for, and ended whatever happens."""
import contextlib
import pathlib
import socket
import subprocess
import sys
import time

PATIENCE_S = 60  # under valgrind a start takes long


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def running(command, log):
    with open(log, "wb") as output:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def listening(command, port, log):
    """The same, and it listens on port by the time it is entered."""
    with running(command, log) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} did not start:\n{pathlib.Path(log).read_text()}")
            time.sleep(0.05)
        yield process
