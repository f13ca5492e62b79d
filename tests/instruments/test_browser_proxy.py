"""Each account's browser by its own proxy: a real one, which alone knows the sites' names."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from loopback_sites import NEWS, TRACKER, Answer, Sites, entries
from proxy_kit import Proxy

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments.browser import Browser
from echoaudit.instruments.browser.proxies import Credentials
from echoaudit.study import load_config
from echoaudit.study.models import BrowserSettings

pytestmark = pytest.mark.web
USER, PASSWORD = "fashion", "s3cret-word"


@pytest.fixture
def own_sites(tmp_path):
    found = Sites(tmp_path)
    found.pages[NEWS, "/"] = Answer(f"news<iframe src=https://{TRACKER}/></iframe>")
    found.pages[TRACKER, "/"] = Answer("frame")
    found.pages[NEWS, "/address"] = Answer("198.51.100.7\n", mime="text/plain")
    yield found
    found.close()


def settings(sites, **more):
    return BrowserSettings(trusted_authority=sites.authority, page_timeout=60, settle=1, **more)


def port(sites):
    return sites.server.server_address[1]


@pytest.fixture
def stun():
    """A UDP port to which WebRTC of a page would talk."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(3)
        yield found


def rtc_page(stun):
    address = f"stun:127.0.0.1:{stun.getsockname()[1]}"
    return Answer(
        f"""<script>const peer = new RTCPeerConnection({{iceServers: [{{urls: "{address}"}}]}});
        peer.createDataChannel("x"); peer.createOffer().then((o) => peer.setLocalDescription(o));
        </script>"""
    )


def test_accounts_go_by_proxies_of_their_own_names_and_passwords_included(own_sites, tmp_path):
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"fashion-1": {"username": USER, "password": PASSWORD}}))
    with (
        Proxy(tmp_path / "http", port(own_sites), user=f"{USER}:{PASSWORD}") as http,
        Proxy(tmp_path / "socks", port(own_sites), mode="socks5") as socks,
    ):
        chosen = settings(
            own_sites,
            proxy="http://127.0.0.1:9",
            proxies={"fashion-1": http.address, "vanilla-1": socks.address},
            proxy_secrets=secrets,
            proxy_probe=f"https://{NEWS}/address",
        )
        for account, proxy in (("fashion-1", http), ("vanilla-1", socks)):
            own_sites.log.clear()
            with Browser(chosen, tmp_path / f"p-{account}", account=account) as browser:
                visit = browser.visit(f"https://{NEWS}/", tmp_path / account)
            assert visit.state == "complete"
            assert visit.browser["proxy"] == proxy.address
            assert visit.browser["proxy_said"] == "198.51.100.7"
            urls = [s.url for s in own_sites.log if s.path != "/favicon.ico"]
            probe, page, frame = (
                f"https://{NEWS}/address",
                f"https://{NEWS}/",
                f"https://{TRACKER}/",
            )
            assert urls == [probe, page, frame]
            told = {e["request"]["url"]: e["response"] for e in entries(tmp_path / account)}
            assert told[page]["status"] == told[frame]["status"] == 200
            assert set(proxy.names) >= {f"{NEWS}:443", f"{TRACKER}:443"}
            for file in filter(Path.is_file, (tmp_path / account).rglob("*")):
                assert PASSWORD.encode() not in file.read_bytes()
            assert PASSWORD not in repr(visit)


def test_webrtc_does_not_go_around_the_proxy(own_sites, stun, tmp_path):
    own_sites.pages[NEWS, "/rtc"] = rtc_page(stun)
    url = f"https://{NEWS}/rtc"
    with Browser(
        settings(own_sites), tmp_path / "plain", extra_arguments=own_sites.arguments
    ) as plain:
        plain.visit(url, tmp_path / "0")
        stun.settimeout(30)
        assert stun.recv(100)
    stun.settimeout(3)
    while True:  # what it repeated
        try:
            stun.recv(100)
        except TimeoutError:
            break
    with Proxy(tmp_path / "socks", port(own_sites), mode="socks5") as socks:
        chosen = settings(own_sites, proxy=socks.address)
        with Browser(chosen, tmp_path / "proxied") as proxied:
            assert proxied.visit(url, tmp_path / "1").state == "complete"
            with pytest.raises(TimeoutError):
                stun.recv(100)


def test_a_proxy_that_is_not_there_or_refuses_is_named_and_no_secret_told(own_sites, tmp_path):
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"a-1": {"username": USER, "password": "wrong-word"}}))
    with Proxy(tmp_path / "http", port(own_sites), user=f"{USER}:{PASSWORD}") as http:
        cases = {
            "wants another user name or password": {"proxy": http.address},
            "ERR_PROXY_CONNECTION_FAILED": {"proxy": "socks5://127.0.0.1:9"},
            "gives no password to a SOCKS proxy": {
                "proxy": "socks5://127.0.0.1:9",
                "proxy_secrets": secrets,
            },
        }
        for words, more in cases.items():
            with (
                pytest.raises(Unavailable, match=words),
                Browser(settings(own_sites, **more), tmp_path / "profile", account="a-1"),
            ):
                pass
        wrong = settings(own_sites, proxy=http.address, proxy_secrets=secrets)
        with (
            pytest.raises(Unavailable, match="another user name or password") as refused,
            Browser(wrong, tmp_path / "profile", account="a-1"),
        ):
            pass
    assert "wrong-word" not in str(refused.value)
    assert "wrong-word" not in repr(Credentials(USER, "wrong-word"))
    assert own_sites.log == []


def test_a_password_in_a_proxys_address_is_refused_and_not_repeated(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"config: c\nbrowser:\n  proxy: http://{USER}:{PASSWORD}@127.0.0.1:8080\n")
    with pytest.raises(BadInput, match="no password") as refused:
        load_config(config)
    assert "config.yaml:3" in str(refused.value)
    assert PASSWORD not in str(refused.value)
