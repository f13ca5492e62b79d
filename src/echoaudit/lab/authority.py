"""The lab's certificate authority: made once per state folder, a leaf for every name."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=365)
NAME = "Lab Authority"


@dataclass(frozen=True)
class Authority:
    """A certificate and its key, and the folder that holds both."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "ca.pem"

    def leaf(self, host: str) -> Path:
        """A file with key, certificate and chain for ``host``; made when it is not there."""
        path = self.folder / "leaves" / f"{host}.pem"
        if not path.is_file():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, self._issue(host))
        return path

    def address_leaf(self, address: str, hosts: Iterable[str]) -> Path:
        """The same, with these names, for whoever connects to an address and gives no name."""
        path = self.folder / "leaves" / f"{address}.pem"
        if not path.is_file():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, self._issue(*hosts, address=address))
        return path

    def _issue(self, *hosts: str, address: str | None = None) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        names += [x509.IPAddress(ip_address(address))] if address else []
        certificate = (
            _builder(hosts[0], self.certificate.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(self._key_identifier(), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        # Browsers that accept an authority by its key's hash look for it in the chain sent. The key
        # comes last, where aioquic expects it.
        return _pem(certificate) + _pem(self.certificate) + _key_pem(key)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def load_or_make(folder: Path) -> Authority:
    """The authority kept in ``folder`` (``ca.pem``, ``ca.key``), made when there is none."""
    certificate_path, key_path = folder / "ca.pem", folder / "ca.key"
    if not (certificate_path.is_file() and key_path.is_file()):
        _make(certificate_path, key_path)
    key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_path} holds no elliptic-curve key")
    return Authority(folder, x509.load_pem_x509_certificate(certificate_path.read_bytes()), key)


def by_name(
    leaves: Mapping[str, Path],
    http: Mapping[str, str],
    versions: Collection[str],
    unnamed: Path,
) -> ssl.SSLContext:
    """A server context that shows each name its own leaf.

    Args:
        leaves: file of each name, as `Authority.leaf` makes them.
        http: best HTTP version of each name, "1.1", "2" or "3".
        versions: TLS versions to speak, of "1.2" and "1.3".
        unnamed: the leaf for clients that give no name.
    """
    known = {name: _context(leaf, http[name], versions) for name, leaf in leaves.items()}

    def choose(
        connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        if name is None:
            return None
        chosen = known.get(name.lower())
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = chosen
        return None

    first = next(iter(leaves))
    entry = _context(unnamed, http[first], versions)
    entry.sni_callback = choose
    return entry


def _context(leaf: Path, http: str, versions: Collection[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    context.minimum_version = old if "1.2" in versions else new
    context.maximum_version = new if "1.3" in versions else old
    context.load_cert_chain(leaf)
    context.set_alpn_protocols(["http/1.1"] if http == "1.1" else ["h2", "http/1.1"])
    return context


def _make(certificate_path: Path, key_path: Path) -> None:
    certificate_path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(NAME, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _key_pem(key))
    _write(certificate_path, _pem(certificate), mode=0o644)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    # A common name holds 64 characters; the alternative name is what clients check.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write at once or not at all: a killed process must not leave half a key."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=mode)
    fresh.write_bytes(data)
    fresh.replace(path)
