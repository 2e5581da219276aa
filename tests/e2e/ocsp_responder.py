"""An OCSP responder for tests: `openssl ocsp` as a server, for certificates of one authority."""
import subprocess
import tempfile

from certificates import openssl
from ports import free_port, listeners
from waiting import wait_until


class Responder:
    """Knows the certificates that were added to it; signs with the authority's key, or signer's."""

    def __init__(self, authority, signer=None):
        self.authority, self.signer = authority, signer or authority
        self.port = free_port()
        self.process, self.index = None, ""

    @property
    def extension(self):
        """What a certificate says to be asked about here."""
        return f"authorityInfoAccess=OCSP;URI:http://127.0.0.1:{self.port}/"

    def add(self, pair, revoked=False):
        serial = openssl("x509", "-in", pair.cert, "-noout", "-serial").decode().strip()[7:]
        status, when = ("R", "250101000000Z") if revoked else ("V", "")
        self.index += f"{status}\t401231235959Z\t{when}\t{serial}\tunknown\t/CN=x\n"

    def start(self, days=7):
        # openssl writes a file of attributes beside it; a folder of its own for every start.
        folder = tempfile.mkdtemp(dir=self.authority.folder)
        with open(f"{folder}/index", "w", encoding="ascii") as out:
            out.write(self.index)
        with open(f"{folder}/log", "wb") as log:
            self.process = subprocess.Popen(
                ["openssl", "ocsp", "-port", str(self.port), "-index", f"{folder}/index", "-CA",
                 self.authority.cert, "-rsigner", self.signer.cert, "-rkey", self.signer.key,
                 "-ndays", str(days)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: listeners(self.port), 30, "the responder listens")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
