"""Everything at once: random requests in random pieces, answered in random ways, and every answer
must be the one to its request, whole and in order. A seed that fails fails again."""
import hashlib
import random
import re
import threading

import pytest

from http_client import RawClient
from scripted import Ended, values_of

SIZES = [0, 0, 1, 2, 100, 4095, 4096, 4097, 16384, 65536, 200000]
REQUESTS_PER_CLIENT = 100
CLIENTS = 8


def chunked(data, rng):
    out, at = [], 0
    while at < len(data):
        n = rng.choice([1, 7, 1000, 4096, 70000])
        piece = data[at:at + n]
        extension = rng.choice([b"", b"", b";x=y"])
        out.append(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
        at += n
        if len(out) > 300:  # enough of the tiny ones
            out.append(b"%x\r\n%s\r\n" % (len(data) - at, data[at:]) if at < len(data) else b"")
            break
    trailers = rng.choice([b"", b"", b"X-Sum: 1\r\n"])
    return b"".join(out) + b"0\r\n" + trailers + b"\r\n"


def send_in_pieces(send, data, rng):
    at = 0
    while at < len(data):
        n = rng.choice([1, 3, 50, 1500, 5000, 100000, len(data)])
        send(data[at:at + n])
        at += n


def body_for(name, size):
    """The bytes that belong to a name; another name's are others."""
    unit = hashlib.sha256(name).digest()
    return (unit * (size // len(unit) + 1))[:size]


# --- the origin -----------------------------------------------------------------------------------


def read_request_body(connection, head):
    if values_of(head, b"transfer-encoding"):
        digest, total = hashlib.sha256(), 0
        while size := int(connection.read_until(b"\r\n"), 16):
            digest.update(connection.read_exactly(size))
            total += size
            assert connection.read_exactly(2) == b"\r\n"
        while connection.read_until(b"\r\n") != b"\r\n":
            pass
        return total, digest.hexdigest()
    [length] = values_of(head, b"content-length") or [b"0"]
    return int(length), hashlib.sha256(connection.read_exactly(int(length))).hexdigest()


def check_body(name, head, body):
    [size] = values_of(head, b"x-size")
    expected = body_for(b"up" + name, int(size))
    assert body == (len(expected), hashlib.sha256(expected).hexdigest()), f"the body of {name}"


def answer(connection, head, name, rng):
    """Answers with the bytes that belong to the name; returns whether the connection goes on."""
    if rng.random() < 0.2:
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    status = rng.choice([200, 200, 200, 204, 304, 404])
    data = body_for(b"down" + name, rng.choice(SIZES))
    framing = rng.choice(["length", "chunked", "close"])
    fields = b"X-Name: %s\r\n" % name
    has_body = status not in (204, 304) and not head.startswith(b"HEAD ")
    if status == 204:
        framing = "none"
    elif framing == "length":
        fields += b"Content-Length: %d\r\n" % len(data)
    elif framing == "chunked":
        fields += b"Transfer-Encoding: chunked\r\n"
    fields += b"X-Hash: %s\r\n" % hashlib.sha256(data if has_body else b"").hexdigest().encode()
    goes_on = rng.random() < 0.8 and not (framing == "close" and has_body)
    if not goes_on and framing != "close":
        fields += b"Connection: close\r\n"
    message = b"HTTP/1.1 %d Whatever\r\n%s\r\n" % (status, fields)
    if has_body:
        message += chunked(data, rng) if framing == "chunked" else data
    send_in_pieces(connection.send, message, rng)
    return goes_on and (has_body or framing != "close")


def make_script(seed):
    def script(connection):
        rng = random.Random(f"{seed} {connection.number}")
        goes_on = True
        while goes_on:
            head = connection.read_head()
            name = head.split(b" ")[1][1:]
            if rng.random() < 0.15:  # before the body is in
                goes_on = answer(connection, head, name, rng)
                try:
                    check_body(name, head, read_request_body(connection, head))
                except Ended:
                    return  # the balancer had no use for the rest
            else:
                check_body(name, head, read_request_body(connection, head))
                goes_on = answer(connection, head, name, rng)
    return script


# --- the clients ----------------------------------------------------------------------------------


def make_request(name, rng):
    method = rng.choice([b"GET", b"GET", b"HEAD", b"PUT", b"POST"])
    size = rng.choice(SIZES) if method in (b"PUT", b"POST") else 0
    data = body_for(b"up" + name, size)
    fields = b"Host: a.example\r\nX-Size: %d\r\n" % size
    if method in (b"GET", b"HEAD"):
        body = b""
    elif rng.random() < 0.5:
        fields += b"Transfer-Encoding: chunked\r\n"
        body = chunked(data, rng)
    else:
        fields += b"Content-Length: %d\r\n" % size
        body = data
    return method, b"%s /%s HTTP/1.1\r\n%s\r\n%s" % (method, name, fields, body)


def read_response(client, method):
    """(head, payload) of the next final response."""
    head = client.read_until(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 1"):
        head = client.read_until(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if method == b"HEAD" or status in (204, 304):
        return head, b""
    if values_of(head, b"transfer-encoding"):
        payload = b""
        while size := int(client.read_until(b"\r\n"), 16):
            payload += client.read_exactly(size)
            assert client.read_exactly(2) == b"\r\n"
        while client.read_until(b"\r\n") != b"\r\n":
            pass
        return head, payload
    [length] = values_of(head, b"content-length")
    return head, client.read_exactly(int(length))


class Talker(threading.Thread):
    """One client after the other until all requests have their answers; some are pipelined."""

    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.port, self.rng, self.seed = port, random.Random(seed), seed
        self.error, self.answered, self.n_lost = None, 0, 0

    def run(self):
        try:
            while self.answered < REQUESTS_PER_CLIENT:
                with RawClient(self.port) as client:
                    self._talk(client)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _talk(self, client):
        while self.answered < REQUESTS_PER_CLIENT:
            batch = []
            for i in range(self.rng.choice([1, 1, 1, 5])):
                name = f"{self.seed}-{self.answered + i}".replace(" ", "-").encode()
                batch.append((name, *make_request(name, self.rng)))
            data = b"".join(request for _, _, request in batch)
            sender = threading.Thread(
                target=send_quietly, args=(client, data, random.Random(data[:99])), daemon=True)
            sender.start()
            for name, method, _ in batch:
                if not self._check(client, name, method):
                    return
            sender.join(15)
            assert not sender.is_alive()

    def _check(self, client, name, method):
        """Whether the connection goes on."""
        head, payload = read_response(client, method)
        self.answered += 1
        if values_of(head, b"server") == [b"quoit"]:
            # A connection closed just now: a POST must not be repeated, a large PUT cannot be.
            assert head.startswith(b"HTTP/1.1 502 ") and method in (b"POST", b"PUT"), head
            self.n_lost += 1
        else:
            assert values_of(head, b"x-name") == [name], head
            [digest] = values_of(head, b"x-hash")
            assert hashlib.sha256(payload).hexdigest().encode() == digest, name
        return values_of(head, b"connection") != [b"close"]


def send_quietly(client, data, rng):
    try:
        send_in_pieces(client.send, data, rng)
    except OSError:
        pass  # closed behind an answer; the reader knows whether that was announced


@pytest.mark.parametrize("seed", range(8))
def test_every_answer_belongs_to_its_request(scripted, seed):
    port, origin = scripted(make_script(seed), n_endpoints=3)
    talkers = [Talker(port, f"{seed} {i}") for i in range(CLIENTS)]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join(60)
        assert not talker.is_alive(), "a client waits for ever"
        if talker.error:
            raise talker.error
    assert sum(talker.n_lost for talker in talkers) <= CLIENTS * REQUESTS_PER_CLIENT / 10
    names = re.findall(rb"(?:POST) /(\S+) HTTP", origin.received)
    assert len(names) == len(set(names)), "a POST came twice"
