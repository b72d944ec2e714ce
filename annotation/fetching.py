"""The one client that asks other servers: for files, on behalf of whoever imports, and for answers to JSON. Everything
in it is a limit.

An address is taken apart and looked up once; every address that its name stands for must be public, and the connection
goes to one of those, so that a name which means something else a moment later gains nothing. No redirect is followed,
no proxy of the environment is asked, no cookie or password is sent that the caller did not give. A file comes back as
bytes on disk, which are read as all media are; nothing of a server's answer is shown to anybody but its status.

Loopback, private, link-local and other special networks are refused, among them those by which clouds hand out
credentials, unless a setting names them; and so are ports other than 80 and 443. Each errand has a setting of its own
(FETCH_NETWORKS for files), so that what is opened for one is not open for the other.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from annotation.plain_text import quote as quote_text

MAX_URL = 2000
TRIES = 3
PORTS = {"http": 80, "https": 443}

_CHUNK = 64 * 1024
_WORTH_REPEATING = (408, 425, 429, 500, 502, 503, 504)
# What `ipaddress` takes for global, or took in some release, and is not somebody's public server.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carriers' own; one cloud's metadata
        "168.63.129.16/32",  # another cloud's
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "64:ff9b::/96",  # these hold an IPv4 address that a gateway would go on to
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "fec0::/10",
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchError(Exception):
    """The file could not be fetched. `detail` is a sentence that names no more of the address than host and path.

    `is_lost`: the server has all of the request, and may have done its work; only its answer did not arrive.
    """

    def __init__(self, detail: str, *, is_worth_repeating: bool = False, is_lost: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.is_worth_repeating = is_worth_repeating
        self.is_lost = is_lost


class PrivateAddressError(FetchError):
    """The server is not on the public internet, and its network is not allowed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer to JSON; `retry_after` in seconds, where it says.

    `body`: where `status` is not 200 it may be empty, because what came could not be read.
    """

    status: int
    retry_after: float | None
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """For one try, in seconds: until a connection stands, of silence, and for all of it. `pause` before the next."""

    connect_seconds: float = 10.0
    silent_seconds: float = 15.0
    wall_seconds: float = 120.0
    pause_seconds: float = 1.0


def check_url(url: object) -> str:
    """Return the address where it is one that may be asked; else FetchError. Looks nothing up."""
    if not isinstance(url, str) or not 1 <= len(url) <= MAX_URL:
        raise FetchError(_("`url` must be a text of 1 to %(most)d characters.") % {"most": MAX_URL})
    _take_apart(url)
    return url


def fetch(url: str, out: BinaryIO, most: int, limits: FetchLimits | None = None) -> int:
    """Write what the address holds, at most `most` bytes, to `out` and return how much that is.

    Tried up to three times where the network or the server failed; `out` is emptied before each. Raises FetchError.
    """
    limits = limits or FetchLimits()

    def read(answer: http.client.HTTPResponse, shown: str) -> int:
        return _read(answer, out, most, shown)

    networks: Sequence[Network] = settings.FETCH_NETWORKS

    for n_tried in range(1, TRIES + 1):
        out.seek(0)
        out.truncate()
        try:
            return _try_once(url, limits, _Request("GET", {"Accept": "*/*"}, networks), read)
        except FetchError as error:
            if not error.is_worth_repeating or n_tried == TRIES:
                raise
        time.sleep(limits.pause_seconds * 4 ** (n_tried - 1))
    raise AssertionError("unreachable")


def post_json(
    url: str,
    body: bytes,
    *,
    most: int,
    limits: FetchLimits,
    networks: Sequence[Network],
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send JSON to an address, once, and return the answer of at most `most` bytes; whatever its status.

    `networks`: those that may be asked although they are not public, on any port. `headers`: further ones; their values
    must be printable ASCII. Raises FetchError where no answer came, where it is a redirect, and where one of status 200
    is too large or packed; PrivateAddressError where the address may not be asked.
    """
    sent = {**(headers or {}), "Content-Type": "application/json", "Accept": "application/json"}

    def read(answer: http.client.HTTPResponse, shown: str) -> Reply:
        _refuse_redirect(answer, shown)
        content = io.BytesIO()
        try:
            _read_body(answer, content, most, shown)
        except (FetchError, OSError, http.client.HTTPException):
            if answer.status == 200:
                raise
            content = io.BytesIO()  # the status says enough
        return Reply(answer.status, _read_wait(answer.headers.get("Retry-After")), content.getvalue())

    return _try_once(url, limits, _Request("POST", sent, networks, body), read)


def _read_wait(told: str | None) -> float | None:
    """The seconds in a `Retry-After`, which is a number or a date; None for neither."""
    if told is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", told.strip()):
        return float(told)
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def is_public(address: Address) -> bool:
    """Whether an address is one on the public internet: not loopback, private, link-local, reserved or a gateway's."""
    inner = getattr(address, "ipv4_mapped", None)
    if inner is not None:
        address = inner
    is_special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or any(address.version == network.version and address in network for network in _SPECIAL)
    )
    return address.is_global and not is_special


def _take_apart(url: str) -> SplitResult:
    if not url.isprintable() or " " in url or "\\" in url:
        raise FetchError(_("`url` holds a character that no address has."))
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        if host:
            host.encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise FetchError(_("`url` is not an address.")) from error
    if parts.scheme not in PORTS:
        raise FetchError(_("`url` must begin with https:// or http://."))
    if not host:
        raise FetchError(_("`url` names no server."))
    if parts.username is not None or parts.password is not None:
        raise FetchError(_("`url` holds a user name or a password. Leave them out: addresses are not kept secret."))
    return parts


@dataclass(frozen=True, slots=True)
class _Request:
    """`networks`: that may be asked although they are not public. `is_sent`: set once all of it is on its way."""

    method: str
    headers: Mapping[str, str]
    networks: Sequence[Network]
    body: bytes | None = None
    is_sent: threading.Event = field(default_factory=threading.Event)


Result = TypeVar("Result")
Read = Callable[[http.client.HTTPResponse, str], Result]


def _try_once(url: str, limits: FetchLimits, request: _Request, read: Read[Result]) -> Result:
    parts = _take_apart(url)
    assert parts.hostname is not None
    host = parts.hostname.encode("idna").decode()
    port = parts.port or PORTS[parts.scheme]
    shown = _show(parts)
    deadline = time.monotonic() + limits.wall_seconds
    connected = _connect(_look_up(host, port, shown, request.networks), port, limits, shown)
    clock = threading.Timer(max(0.0, deadline - time.monotonic()), lambda: _cut_off(connected))
    clock.daemon = True
    clock.start()
    try:
        found = _talk(connected, parts, host, port, limits, shown, request, read)
        if time.monotonic() >= deadline:  # cut off, a body whose length nobody stated looks whole
            raise TimeoutError
        return found
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise FetchError(_("%(url)s: the server's certificate is not valid.") % {"url": shown}) from error
        is_slow = time.monotonic() >= deadline or isinstance(error, TimeoutError)
        detail = _("%(url)s: the server is too slow.") if is_slow else _("%(url)s: the connection broke off.")
        is_lost = request.is_sent.is_set()
        raise FetchError(detail % {"url": shown}, is_worth_repeating=True, is_lost=is_lost) from error
    finally:
        clock.cancel()
        connected.close()


def _look_up(host: str, port: int, shown: str, allowed: Sequence[Network]) -> list[Address]:
    """Every address of the host, asked for once. FetchError where one of them may not be connected to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(
            _("%(url)s: the server's name is not known.") % {"url": shown},
            is_worth_repeating=isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN,
        ) from error
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))
    for address in addresses:
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain.version == network.version and plain in network for network in allowed):
            continue
        if not is_public(address):
            raise PrivateAddressError(
                _("%(url)s: the server is not on the public internet. Upload the file, or have its network allowed.")
                % {"url": shown}
            )
        if port not in PORTS.values():
            raise FetchError(_("%(url)s: only the ports 80 and 443 are asked.") % {"url": shown})
    return addresses


def _connect(addresses: list[Address], port: int, limits: FetchLimits, shown: str) -> socket.socket:
    fault: OSError | None = None
    for address in addresses[:4]:
        try:
            return socket.create_connection((str(address), port), timeout=limits.connect_seconds)
        except OSError as error:
            fault = error
    raise FetchError(_("%(url)s: the server cannot be reached.") % {"url": shown}, is_worth_repeating=True) from fault


def _cut_off(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # ended by itself at this very moment
        connected.shutdown(socket.SHUT_RDWR)


def _talk(
    connected: socket.socket,
    parts: SplitResult,
    host: str,
    port: int,
    limits: FetchLimits,
    shown: str,
    request: _Request,
    read: Read[Result],
) -> Result:
    connected.settimeout(limits.silent_seconds)
    is_tls = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    asking = kind(host, port)
    asking.auto_open = 0  # this connection and no other
    # A second handle on the socket: TLS takes the first one over, and the clock must still be able to end it.
    inner = connected.dup()
    try:
        asking.sock = ssl.create_default_context().wrap_socket(inner, server_hostname=host) if is_tls else inner
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
            "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?") if parts.query else ""
        )
        headers = {"User-Agent": "Touchstone", "Accept-Encoding": "identity", "Connection": "close", **request.headers}
        asking.request(request.method, path, body=request.body, headers=headers)
        request.is_sent.set()
        with contextlib.closing(asking.getresponse()) as answer:
            return read(answer, shown)
    finally:
        asking.close()
        inner.close()


def _refuse_redirect(answer: http.client.HTTPResponse, shown: str) -> None:
    if 300 <= answer.status < 400:
        raise FetchError(
            _("%(url)s: the server answers with a redirect, which is not followed. Give the final address.")
            % {"url": shown}
        )


def _read(answer: http.client.HTTPResponse, out: BinaryIO, most: int, shown: str) -> int:
    _refuse_redirect(answer, shown)
    if answer.status != 200:
        raise FetchError(
            _("%(url)s: the server answers with the status %(status)d.") % {"url": shown, "status": answer.status},
            is_worth_repeating=answer.status in _WORTH_REPEATING,
        )
    return _read_body(answer, out, most, shown)


def _read_body(answer: http.client.HTTPResponse, out: BinaryIO, most: int, shown: str) -> int:
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchError(
            _("%(url)s: the server sends the file packed, though it was not asked to.") % {"url": shown}, is_lost=True
        )
    expected, size = answer.length, 0
    too_large = FetchError(
        _("%(url)s: what it sends is larger than %(most)d MB.") % {"url": shown, "most": most // 1024**2}, is_lost=True
    )
    if expected is not None and expected > most:
        raise too_large
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > most:
            raise too_large
        out.write(chunk)
    if expected is not None and size < expected:
        raise http.client.IncompleteRead(b"", expected - size)
    out.flush()
    return size


def _show(parts: SplitResult) -> str:
    """Server and path: what follows may be a key."""
    return quote_text(f"{parts.scheme}://{parts.netloc}{parts.path}", 200)
