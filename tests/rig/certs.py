"""Certificates for tests, made by openssl: authorities and what they issue."""

from rig.process import run


class Authority:
    """A certificate authority in `folder`; `cert` is its file."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.cert])

    def issue(self, name, expired=False, addresses=(), subject=None):
        """(certificate, key) of `name`, good for 127.0.0.1, localhost and these; `expired`: until yesterday."""
        request, cert, key = (self.folder / f"{self.name}-{name}.{end}" for end in ("csr", "crt", "key"))
        extensions = self.folder / "names.ext"
        extensions.write_text(",".join(["subjectAltName=IP:127.0.0.1,DNS:localhost", *(f"IP:{address}" for address in addresses)]) + "\n")
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", subject or f"/CN={name}", "-keyout", key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
             "-days", "-1" if expired else "2", "-extfile", extensions, "-out", cert])
        return cert, key
