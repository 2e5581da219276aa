"""Certificates for tests, made by openssl: an authority, leaves of both kinds of keys, a CRL."""
import pathlib
import subprocess
import time


def openssl(*arguments, stdin=None, folder=None):
    result = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True,
                            timeout=60, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


class Pair:
    """A certificate and its key, as files."""

    def __init__(self, cert, key):
        self.cert, self.key = pathlib.Path(cert), pathlib.Path(key)

    @property
    def conf(self):
        return {"cert": str(self.cert), "key": str(self.key)}

    def fingerprint(self):
        text = openssl("x509", "-in", self.cert, "-noout", "-fingerprint", "-sha256").decode()
        return text.split("=")[1].strip().replace(":", "").lower()

    def der(self):
        return openssl("x509", "-in", self.cert, "-outform", "DER")


class Authority:
    """A CA of its own in a folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = pathlib.Path(folder), name
        self.cert, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._make_key(self.key, "ec")
        openssl("req", "-x509", "-new", "-key", self.key, "-out", self.cert, "-days", 30, "-subj",
                f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
        (self.folder / f"{name}.index").write_text("")
        (self.folder / f"{name}.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.folder}/{name}.index\n"
            "default_md=sha256\ndefault_crl_days=30\n")

    @staticmethod
    def _make_key(path, kind):
        how = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else [
            "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        openssl("genpkey", *how, "-out", path)

    def issue(self, name, *sans, kind="ec", days=10, file=None, more=(), seconds=None):
        """sans: "DNS:…" or "IP:…"; the names of the certificate. days < 0: it has expired;
        seconds: until it does. more: lines of further extensions."""
        stem = self.folder / (file or name.replace("*", "_") + "." + kind)
        pair = Pair(f"{stem}.crt", f"{stem}.key")
        self._make_key(pair.key, kind)
        request = openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={name}")
        extensions = self.folder / "extensions.cnf"
        lines = [f"subjectAltName={','.join(sans)}"] if sans else []
        extensions.write_text("".join(f"{line}\n" for line in [*lines, *more]))
        if days < 0:
            self._issue_until("20210101000000Z", request, extensions, pair)
        elif seconds:
            end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
            self._issue_until(end, request, extensions, pair)
        else:
            pair.cert.write_bytes(openssl(
                "x509", "-req", "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial",
                "-extfile", extensions, "-days", days, stdin=request))
        return pair

    def _issue_until(self, end, request, extensions, pair):
        """openssl ca can set both dates; x509 of this version cannot."""
        source = self.folder / "until.csr"
        source.write_bytes(request)
        policy = self.folder / "until.cnf"
        policy.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.folder}/{self.name}.index\n"
            f"new_certs_dir={self.folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
            "unique_subject=no\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", policy, "-cert", self.cert, "-keyfile", self.key,
                "-startdate", "20200101000000Z", "-enddate", end, "-notext",
                "-extfile", extensions, "-in", source, "-out", pair.cert)

    def crl(self, *revoked):
        """A CRL that lists the pairs; its file."""
        config, path = self.folder / f"{self.name}.cnf", self.folder / f"{self.name}.crl"
        for pair in revoked:
            openssl("ca", "-config", config, "-cert", self.cert, "-keyfile", self.key, "-revoke",
                    pair.cert)
        openssl("ca", "-config", config, "-cert", self.cert, "-keyfile", self.key, "-gencrl",
                "-out", path)
        return path
