"""The guarded client: where it goes, where it does not, and what it puts up with, against real servers."""

from __future__ import annotations

import io
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from annotation.fetching import FetchError, FetchLimits, check_url, fetch, is_public
from tests.file_server import FileServer, body, drip, in_turn, serve, status

FILE = b"\x89PNG" + bytes(range(256)) * 400
QUICK = FetchLimits(connect_seconds=2, silent_seconds=1, wall_seconds=2, pause_seconds=0.01)
HASTY = FetchLimits(connect_seconds=2, silent_seconds=0.25, wall_seconds=0.4, pause_seconds=0)
MOST = 1024**2


@pytest.fixture
def server(settings: Any) -> Iterator[FileServer]:
    """A server on this machine, which the setting allows to be asked."""
    settings.FETCH_NETWORKS = [ip_network("127.0.0.0/8")]
    with serve() as one:
        one.answers["/a.png"] = body(FILE)
        yield one


def get(url: str, most: int = MOST, limits: FetchLimits = QUICK) -> bytes:
    out = io.BytesIO()
    assert fetch(url, out, most, limits) == len(out.getvalue())
    return out.getvalue()


def fault_of(url: str, most: int = MOST, limits: FetchLimits = QUICK) -> str:
    with pytest.raises(FetchError) as caught:
        get(url, most, limits)
    return caught.value.detail


# --- What is fetched -------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_and_nothing_is_told_about_us(server: FileServer) -> None:
    assert get(server.url("/a.png?key=1#part")) == FILE
    assert server.asked == [("/a.png?key=1", f"127.0.0.1:{server.server_port}")]
    assert set(server.headers[0]) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_a_file_of_unstated_length_comes_whole(server: FileServer) -> None:
    server.answers["/open"] = body(FILE, declared=-1)
    assert get(server.url("/open")) == FILE


def test_a_path_in_any_script_is_asked_for_as_servers_expect(server: FileServer) -> None:
    server.answers["/%C3%BC%20.png"] = body(FILE)
    assert get(server.url("/ü%20.png")) == FILE


def test_no_proxy_of_the_environment_is_asked(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    assert get(server.url("/a.png")) == FILE


# --- What is refused, and what is tried again ------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [None, -1])
def test_too_many_bytes_are_refused_and_not_read_on(server: FileServer, declared: int | None) -> None:
    server.answers["/large"] = body(bytes(20 * MOST), declared=declared)
    out = io.BytesIO()
    with pytest.raises(FetchError, match="larger than 1 MB"):
        fetch(server.url("/large"), out, MOST, QUICK)
    assert len(out.getvalue()) <= MOST
    assert server.paths() == ["/large"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: FileServer, code: int) -> None:
    with serve() as inner:
        inner.answers["/secret"] = body(b"secret")
        server.answers["/moved"] = status(code, Location=inner.url("/secret"))
        assert "redirect, which is not followed" in fault_of(server.url("/moved"))
        assert inner.asked == []
    assert server.paths() == ["/moved"]


@pytest.mark.parametrize(("code", "n_asked"), [(404, 1), (403, 1), (204, 1), (206, 1), (500, 3), (503, 3), (429, 3)])
def test_what_may_pass_is_tried_three_times_and_the_rest_once(server: FileServer, code: int, n_asked: int) -> None:
    server.answers["/fault"] = status(code)
    reason = fault_of(server.url("/fault?key=hidden"))
    assert f"the status {code}." in reason
    assert reason.startswith(f'"http://127.0.0.1:{server.server_port}/fault": ')
    assert "hidden" not in reason
    assert "secret" not in reason
    assert len(server.asked) == n_asked


def test_a_server_that_recovers_gives_the_file(server: FileServer) -> None:
    server.answers["/weak"] = in_turn(status(503), body(FILE[:100], declared=len(FILE)), body(FILE))
    assert get(server.url("/weak")) == FILE
    assert len(server.asked) == 3


def test_a_file_that_breaks_off_is_no_file(server: FileServer) -> None:
    server.answers["/short"] = body(FILE[:-1], declared=len(FILE))
    assert "broke off" in fault_of(server.url("/short"))
    assert len(server.asked) == 3


def test_a_packed_body_is_refused(server: FileServer) -> None:
    server.answers["/packed"] = body(FILE, Content_Encoding="gzip")
    assert "sends the file packed" in fault_of(server.url("/packed"))


@pytest.mark.parametrize(
    "answer",
    [
        drip(1000, 0.05),
        drip(1000, 0.05, declared=None),
        drip(1000, 0.05, in_headers=True),
        drip(1, 30),
        drip(1, 30, in_headers=True),
    ],
    ids=["body", "open body", "headers", "silent body", "silent headers"],
)
def test_a_slow_server_is_left_in_time(server: FileServer, answer: Any) -> None:
    server.answers["/slow"] = answer
    started = time.monotonic()
    assert "too slow" in fault_of(server.url("/slow"), limits=HASTY)
    assert time.monotonic() - started < 3 * HASTY.wall_seconds + 1.5


def test_a_server_that_speaks_another_language_is_left(settings: Any) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.0/8")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.close()
        assert "cannot be reached" in fault_of(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "must begin with https"),
        ("ftp://example.org/a.png", "must begin with https"),
        ("gopher://example.org/", "must begin with https"),
        ("//example.org/a.png", "must begin with https"),
        ("a.png", "must begin with https"),
        ("data:image/png;base64,AAAA", "must begin with https"),
        ("https:///a.png", "names no server"),
        ("https://user:password@example.org/a.png", "user name or a password"),
        ("https://example.org@127.0.0.1/", "user name or a password"),
        ("https://example.org:99999/", "not an address"),
        ("https://[::1/", "not an address"),
        ("https://" + "a" * 64 + ".org/", "not an address"),
        ("https://example.org/a b", "character"),
        ("https://example.org/a\r\nHost: other", "character"),
        ("https://example.org\\@127.0.0.1/", "character"),
        ("https://example.org/" + "a" * 2000, "1 to 2000 characters"),
        ("", "1 to 2000 characters"),
        (17, "1 to 2000 characters"),
    ],
)
def test_what_is_no_address_of_a_file_is_refused_before_anything_is_asked(url: Any, reason: str) -> None:
    with pytest.raises(FetchError, match=reason):
        check_url(url)


# --- Where it goes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "168.63.129.16",
        "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fe80::1%eth0", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_known(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_is_known(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "017700000001", "0.0.0.0", "[::ffff:127.0.0.1]"],
)
def test_this_machine_is_not_asked_under_any_name(server: FileServer, settings: Any, host: str) -> None:
    settings.FETCH_NETWORKS = []
    settings.LLM_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("0.0.0.0/32")]  # a language model's, not for files
    assert "not on the public internet" in fault_of(server.url("/a.png", host))
    assert server.asked == []


def test_a_network_that_the_setting_names_is_asked_by_name_too(server: FileServer, settings: Any) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32"), ip_network("::1/128")]
    assert get(server.url("/a.png", "localhost")) == FILE
    assert get(server.url("/a.png", "[::ffff:127.0.0.1]")) == FILE
    assert server.asked[0][1] == f"localhost:{server.server_port}"


def answer_names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names stand for these addresses, each look-up for the next; returns the names asked for, as they come."""
    asked: list[str] = []
    left = list(answers)
    plain = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        if not host.endswith(".example"):  # an address, as a socket is given it
            return plain(host, port, *more, **named)
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr("annotation.fetching.socket.getaddrinfo", look_up)
    return asked


def test_a_name_is_looked_up_once_and_that_address_is_asked(
    server: FileServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32")]
    asked = answer_names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    assert get(server.url("/a.png", "rebind.example")) == FILE
    assert asked == ["rebind.example"]
    assert server.asked == [("/a.png", f"rebind.example:{server.server_port}")]


def test_a_name_that_stands_for_one_private_address_among_public_ones_is_refused(
    server: FileServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_NETWORKS = []
    answer_names(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    assert "not on the public internet" in fault_of("http://mixed.example/a.png")
    assert server.asked == []


def test_a_public_server_is_asked_on_the_usual_ports_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FETCH_NETWORKS = []
    answer_names(monkeypatch, ["93.184.216.34"])
    assert "only the ports 80 and 443" in fault_of("http://public.example:22/")


def test_a_name_that_nobody_knows_is_a_reason(settings: Any) -> None:
    assert "name is not known" in fault_of("https://nobody.invalid/a.png")


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `localhost` alone, which nobody signed but itself, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    command = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run(
        ["openssl", *command, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True
    )
    path.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return path


def test_tls_is_verified_for_the_name_that_was_asked(
    settings: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32"), ip_network("::1/128")]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serve(certificate) as server:
        server.answers["/a.png"] = body(FILE)
        assert get(server.url("/a.png", "localhost", "https")) == FILE
        assert "certificate is not valid" in fault_of(server.url("/a.png", "127.0.0.1", "https"))
        assert server.paths() == ["/a.png"]


def test_a_certificate_that_nobody_vouches_for_is_refused(settings: Any, certificate: Path) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32"), ip_network("::1/128")]
    with serve(certificate) as server:
        assert "certificate is not valid" in fault_of(server.url("/a.png", "localhost", "https"))
        assert server.asked == []


def test_a_slow_body_over_tls_is_left_in_time(
    settings: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32"), ip_network("::1/128")]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serve(certificate) as server:
        server.answers["/slow"] = drip(1000, 0.05)
        started = time.monotonic()
        assert "too slow" in fault_of(server.url("/slow", "localhost", "https"), limits=HASTY)
        assert time.monotonic() - started < 3 * HASTY.wall_seconds + 1.5
