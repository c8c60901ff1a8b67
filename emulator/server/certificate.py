"""A certificate made on the spot: files for this server and for whoever is to trust it, gone when it stops.

ca.pem       the authority, made for this one server; its private key is never written
bundle.pem   the authority and all that this machine trusts, for clients that take one file in place of their own
server.pem   private key and certificate, for the owner's eyes only
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.core.frozen import frozen

#: Names by which a server on this machine is reached.
LOCAL = ("localhost", "127.0.0.1", "::1")


@frozen
class Certificate:
    """The files of a server's certificate."""

    authority: Path
    bundle: Path
    server: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients come to trust it: OpenSSL's, those of requests and curl, and Node's."""
        replaces = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        return {**dict.fromkeys(replaces, str(self.bundle)), "NODE_EXTRA_CA_CERTS": str(self.authority)}


@contextmanager
def made_certificate(names: Iterable[str]) -> Iterator[Certificate]:
    """Yield a certificate for this machine and other names, hosts or IP addresses.

    Raises: ImportError, where trustme is missing.
    """
    import trustme

    authority = trustme.CA(organization_name="llm-emulator")
    issued = authority.issue_cert(*dict.fromkeys([*LOCAL, *names]))
    with tempfile.TemporaryDirectory(prefix="emulator-tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # what is to be trusted is for all
        made = Certificate(folder / "ca.pem", folder / "bundle.pem", folder / "server.pem")
        trusted = authority.cert_pem.bytes()
        _write(made.authority, trusted, 0o644)
        _write(made.bundle, trusted + _trusted_here(), 0o644)
        _write(made.server, issued.private_key_and_cert_chain_pem.bytes(), 0o600)
        yield made


def _write(file: Path, data: bytes, mode: int) -> None:
    """Write a file that never was open to more than its mode says."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)


def _trusted_here() -> bytes:
    file = ssl.get_default_verify_paths().cafile  # of SSL_CERT_FILE, where that is set
    try:
        return Path(file).read_bytes() if file else b""
    except OSError:
        return b""
