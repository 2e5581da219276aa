"""What the servers of tests have in common: threads that accept, and one for each connection."""
import contextlib
import socket
import threading


class Acceptor:
    """Serves what comes to listening sockets.

    begin(socket, listener) is called for each connection in the order in which they come; what it
    returns is run in a thread of the connection's own.
    """

    def __init__(self, begin):
        self._begin = begin
        self._running = 0  # threads
        self._ended = threading.Condition()

    def listen(self, listener):
        """Serves a listening socket until stop_listening()."""
        self._start(lambda: self._accept(listener))

    def join(self, timeout=10):
        """Waits until all that listened has stopped and all connections are served."""
        with self._ended:
            done = self._ended.wait_for(lambda: self._running == 0, timeout)
        assert done, f"{self._running} threads of a server do not end"

    def _start(self, target):
        with self._ended:
            self._running += 1
        threading.Thread(target=self._run, args=(target,), daemon=True).start()

    def _run(self, target):
        try:
            target()
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._begin(sock, listener))


def stop_listening(listener):
    """Refuses connections from now on; idempotent."""
    if listener.fileno() < 0:
        return
    # A closed socket alone would not wake the thread that accepts on it.
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
