"""A small certificate authority of the pool's own: `cupool certs init|issue|rotate` and the agent's certificates for its servers.

    authority            `init`: ca.pem, ca.key. Signs everything below. Ten years.
    issue, server        for a controller or an admin door: the hosts' names and addresses. One year.
    issue, client        for a tenant: its name is the certificate's. One year.
    issue, node          for a host with an agent: an authority that can only sign names of servers on that node. One year.
    NodeAuthority        signs a certificate for each API server, for some days. A server runs its tenant's code, so its key is
                         worth nothing elsewhere: the name in it is that of the one server, and clients ask for that name.

All keys are P-256. Private keys are written with mode 0600, whole or not at all. `rotate` makes a new authority and lets both be
trusted for a time.
Needs the extra `server` (cryptography).
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cupool.contract.tlsnames import node_domain, server_name

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
SERVER_DAYS = 7
#: Clocks differ: a certificate is valid a little before it was made.
_SKEW = datetime.timedelta(minutes=10)
#: Certificates are told of when less than this part of their life is left.
_SOON = 0.25

CA_CERT, CA_KEY, TRUST = "ca.pem", "ca.key", "trust.pem"


class CertsError(Exception):
    """Something about certificates cannot be done. The text says what, why and what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of a certificate."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """What a certificate file says, for `doctor` and `certs list`.

    Attributes:
        left_s: seconds until it expires; negative: it has.
        is_due: less than a quarter of its life is left.
    """

    path: Path
    subject: str
    names: tuple[str, ...]
    is_authority: bool
    expires: float
    left_s: float
    is_due: bool


def init(folder: Path, pool: str = "cupool", days: int = AUTHORITY_DAYS) -> Issued:
    """A new authority in `folder`: ca.pem, ca.key, and trust.pem, which clients get as CUPOOL_CA.

    Raises:
        CertsError: there is one already, or the folder cannot be written.
    """
    if (folder / CA_KEY).exists() or (folder / CA_CERT).exists():
        raise CertsError(
            f"{folder} has an authority already. Use `cupool certs rotate` for a new one, or another folder."
        )
    _folder(folder)
    key, cert = _new_authority(pool, days)
    _write(folder / CA_KEY, _pem_key(key), 0o600)
    _write(folder / CA_CERT, _pem(cert), 0o644)
    _write(folder / TRUST, _pem(cert), 0o644)
    return Issued(folder / CA_CERT, folder / CA_KEY)


def issue_server(folder: Path, hosts: Sequence[str], name: str = "server", days: int = LEAF_DAYS) -> Issued:
    """A certificate for doors at these host names and addresses: <name>.pem and <name>.key in `folder`.

    Raises:
        CertsError: no authority there, no host, or a host that is none.
    """
    if not hosts:
        raise CertsError(
            "A server's certificate needs the names or addresses that clients use. Give at least one: --host pool.example."
        )
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host.strip("[]"))))
        except ValueError:
            names.append(x509.DNSName(_dns(host)))
    return _issue(
        folder, name, hosts[0], names, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], days
    )


def issue_client(folder: Path, tenant: str, name: str = "", days: int = LEAF_DAYS) -> Issued:
    """A certificate for a tenant's clients: <name>.pem and <name>.key, by default client-<tenant>. Its name is the tenant's.

    Raises:
        CertsError: no authority there, or no such name for a tenant.
    """
    from . import tokens

    try:
        tokens.check_tenant(tenant)
    except ValueError as error:
        raise CertsError(str(error)) from None
    return _issue(folder, name or f"client-{tenant}", tenant, [], [ExtendedKeyUsageOID.CLIENT_AUTH], days)


def issue_node(folder: Path, node: str, name: str = "", days: int = LEAF_DAYS) -> Issued:
    """The authority of one node's agent: <name>.pem and <name>.key, by default node-<node>. It signs servers of that node alone.

    Raises:
        CertsError: no authority there.
    """
    ca_key, ca_cert = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    domain = node_domain(node)
    cert = (
        _builder(f"cupool node {node}"[:64], ca_cert.subject, key, days, ca_cert)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(domain)], None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_cert.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(ca_key, hashes.SHA256())
    )
    return _save(folder, name or f"node-{node}", key, cert)


def rotate(folder: Path, pool: str = "cupool", days: int = AUTHORITY_DAYS) -> Issued:
    """A new authority; the old one stays in trust.pem, so that certificates of both are accepted while they are replaced.

    Order of a rotation without a gap: `rotate`; hand out trust.pem (CUPOOL_CA, client_ca); `issue` everything again (listeners take
    new files by themselves); then `finish_rotation`. ca.key and ca.pem of before are kept as ca-old.*.

    Raises:
        CertsError: no authority there, or a rotation has not been finished.
    """
    old_key, old_cert = _authority(folder)
    trusted = _certificates(folder / TRUST)
    if len(trusted) > 1:
        raise CertsError(
            f"{folder / TRUST} still trusts the authority before this one. Finish that rotation first: cupool certs rotate --finish."
        )
    key, cert = _new_authority(pool, days)
    _write(folder / "ca-old.key", _pem_key(old_key), 0o600)
    _write(folder / "ca-old.pem", _pem(old_cert), 0o644)
    # Trusted before it signs: whoever reads the files in between is never ahead of what clients trust.
    _write(folder / TRUST, _pem(cert) + _pem(old_cert), 0o644)
    _write(folder / CA_KEY, _pem_key(key), 0o600)
    _write(folder / CA_CERT, _pem(cert), 0o644)
    return Issued(folder / CA_CERT, folder / CA_KEY)


def finish_rotation(folder: Path) -> None:
    """Trust the new authority alone, and forget the old one's key.

    Raises:
        CertsError: no authority there.
    """
    _, cert = _authority(folder)
    _write(folder / TRUST, _pem(cert), 0o644)
    for name in ("ca-old.key", "ca-old.pem"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / name)


def inspect(path: Path, now: datetime.datetime | None = None) -> CertificateStatus:
    """What the first certificate of a file says.

    Raises:
        CertsError: the file cannot be read or has none.
    """
    cert = _certificates(path)[0]
    now = now or datetime.datetime.now(datetime.UTC)
    expires, begins = cert.not_valid_after_utc, cert.not_valid_before_utc
    left_s = (expires - now).total_seconds()
    try:
        alternative = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in alternative)
    except x509.ExtensionNotFound:
        names = ()
    try:
        is_authority = cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    common = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    life_s = (expires - begins).total_seconds()
    return CertificateStatus(
        path,
        str(common[0].value) if common else "",
        names,
        is_authority,
        expires.timestamp(),
        left_s,
        left_s < _SOON * life_s,
    )


class NodeAuthority:
    """An agent's authority: signs a certificate for each API server of its node.

    Args:
        cert, key: what `issue_node` made.

    Raises:
        CertsError: the files cannot be used.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._chain = _certificates(cert)
        self._key = _private_key(key)

    def issue(self, server: str, node: str, folder: Path, days: int = SERVER_DAYS) -> Issued:
        """tls.pem and tls.key in `folder`, for one server. About a millisecond."""
        signer = self._chain[0]
        key = ec.generate_private_key(ec.SECP256R1())
        cert = (
            _builder(f"cupool server {server}"[:64], signer.subject, key, days, signer)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name(server, node))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)  # type: ignore[arg-type]
            .sign(self._key, hashes.SHA256())
        )
        return _save(folder, "tls", key, cert, self._chain, durable=False)


# ---- parts


def _new_authority(pool: str, days: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    # Authorities of one pool differ in their names: a chain is built by name, and a rotation has two of them.
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    name = f"{pool} authority {made}"[:64]
    cert = (
        _builder(name, _name(name), key, days, None)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, cert


def _issue(
    folder: Path, name: str, subject: str, names: list[x509.GeneralName], uses: list[x509.ObjectIdentifier], days: int
) -> Issued:
    ca_key, ca_cert = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject[:64], ca_cert.subject, key, days, ca_cert)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    cert = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_cert.public_key()), critical=False)  # type: ignore[arg-type]
        .sign(ca_key, hashes.SHA256())
    )
    return _save(folder, name, key, cert)


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, signer: x509.Certificate | None
) -> x509.CertificateBuilder:
    if days < 1:
        raise CertsError(f"A certificate cannot be valid for {days} days. Give at least 1.")
    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    if signer is not None:
        if signer.not_valid_after_utc <= now:
            raise CertsError("The authority has expired. Make a new one: cupool certs rotate.")
        end = min(end, signer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _dns(host: str) -> str:
    if not re.fullmatch(
        r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*", host
    ):
        raise CertsError(
            f"{host!r} is no host name and no address. Give names as clients use them: pool.example or 10.0.0.7."
        )
    return host


def _authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if not (folder / CA_KEY).exists():
        raise CertsError(f"{folder} has no authority ({CA_KEY}). Make one: cupool certs init.")
    return _private_key(folder / CA_KEY), _certificates(folder / CA_CERT)[0]


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CertsError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError) as error:
        raise CertsError(f"{path} is no private key: {error}.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertsError(f"{path} is no key of an elliptic curve, as this pool's are.")
    return key


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertsError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CertsError(f"{path} has no certificate: {error}.") from None


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _save(
    folder: Path,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    cert: x509.Certificate,
    chain: Iterable[x509.Certificate] = (),
    durable: bool = True,
) -> Issued:
    """Key first: a listener that looks in between finds a pair that does not fit, and waits."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise CertsError(f"{name!r} is no name for a file. Use letters, digits, '.', '_' and '-'.")
    _folder(folder)
    issued = Issued(folder / f"{name}.pem", folder / f"{name}.key")
    _write(issued.key, _pem_key(key), 0o600, durable)
    _write(issued.cert, b"".join(map(_pem, (cert, *chain))), 0o644, durable)
    return issued


def _folder(folder: Path) -> None:
    """With what is missing above it, which may be the pool's own folder: nobody else enters either."""
    try:
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CertsError(f"{folder} cannot be made: {error.strerror}.") from None


def _write(path: Path, data: bytes, mode: int, durable: bool = True) -> None:
    """Whole or not at all, and never readable for others in between. `durable`: also when the host fails."""
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, mode)
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(fd)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise CertsError(f"{path} cannot be written: {error.strerror}.") from None
