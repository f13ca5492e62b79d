"""The names on a server's certificate: hostile input, like all that comes from a network."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

MOST_NAMES = 100
_LONGEST_NAME = 253


class BadCertificate(ValueError):
    """Bytes that are no certificate that can be read."""


def certificate_names(der: bytes) -> tuple[tuple[str, ...], str | None]:
    """The DNS names on a certificate, else its common name; and who issued it.

    Raises ``BadCertificate``.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        issuer = _attribute(found.issuer, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        names = _alternative(found) or _attribute(found.subject, NameOID.COMMON_NAME)[:1]
    except Exception as error:  # boundary: the library raises anything at a malformed one
        raise BadCertificate(str(error)) from error
    return tuple(printable(name) for name in names[:MOST_NAMES]), next(map(printable, issuer), None)


def printable(name: str) -> str:
    """A name as it can be written down: printable and of a name's length."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return shown[:_LONGEST_NAME]


def _alternative(found: x509.Certificate) -> list[str]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _attribute(name: x509.Name, *kinds: x509.ObjectIdentifier) -> list[str]:
    return [str(part.value) for kind in kinds for part in name.get_attributes_for_oid(kind)]
