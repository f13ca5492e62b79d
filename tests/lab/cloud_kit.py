"""A cloud on a local port, an Echo's calls to it, and a Chromium that knows its names."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))
from echoaudit.lab.accounts import PlatformAccount, make_accounts, write_accounts, write_sign_in
from echoaudit.lab.truth import Log, read_log
from echoaudit.lab.world import find_world
from local_ports import free_port

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)
PATIENCE = 60.0
"""Seconds for what takes one on an idle machine."""
FASHION = Path(__file__).parents[2] / "skills" / "fashion.yaml"


@dataclass
class RunningCloud:
    """A cloud process that can be killed and started again."""

    world: str
    state: Path
    accounts: dict[str, PlatformAccount]
    catalogues: tuple[Path, ...]
    port: int
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        command = [sys.executable, "-m", "echoaudit.lab.cloud", "--world", self.world]
        command += ["--catalogue", *map(str, self.catalogues)]
        command += ["--accounts", str(self.state / "accounts.json"), "--state", str(self.state)]
        command += ["--loopback", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def log(self, name: Log) -> list[dict[str, Any]]:
        return list(read_log(self.state, name))

    def client(self) -> httpx.Client:
        """A cookie-keeping client for which every name leads to the cloud."""
        context = ssl.create_default_context(cafile=str(self.state / "ca" / "ca.pem"))
        return httpx.Client(transport=_Loopback(self.port, context), timeout=PATIENCE)

    def post(self, url: str, **arguments: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(url, **arguments)

    def say(self, voice: str, account: str, command: str | None) -> dict[str, Any]:
        """What the account's Echo does when it has heard a command."""
        metadata = {
            "token": self.accounts[account].token,
            "transcript": "words",
            "command": command,
            "started": time.time(),
        }
        files = {"audio": ("heard.wav", WAV, "audio/wav")}
        data = {"metadata": json.dumps(metadata)}
        answer = self.post(f"https://{voice}/v1/events", data=data, files=files)
        answer.raise_for_status()
        return dict(answer.json())


class _Loopback(httpx.HTTPTransport):
    """Connects to the local port whatever the URL's host; TLS still asks for that host."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        response = super().handle_request(request)
        request.url = request.url.copy_with(host=host, port=None)
        return response


@contextmanager
def running_cloud(
    world: str | Path,
    state: Path,
    accounts: tuple[str, ...] = ("fashion-1", "vanilla-1"),
    catalogues: tuple[Path, ...] = (FASHION,),
) -> Iterator[RunningCloud]:
    """A cloud of ``world`` with accounts, ended at the end."""
    state.mkdir(parents=True, exist_ok=True)
    made = make_accounts(accounts, seed=5)
    write_accounts(state / "accounts.json", made)
    write_sign_in(state, made)
    cloud = RunningCloud(str(world), state, made, catalogues, free_port())
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.stop()


def patient_world(world: str | Path, folder: Path) -> Path:
    """A copy of a world whose auctions wait long enough for a busy machine.

    They still end with the last answer.
    """
    folder.mkdir()
    path = find_world(world)
    for one in {path, find_world("paper")}:  # others may be based on it
        text = one.read_text(encoding="utf-8")
        patient = text.replace("    bidders: [", "    timeout_ms: 20000\n    bidders: [")
        (folder / one.name).write_text(patient, encoding="utf-8")
    return folder / path.name


def key_hash(authority: Path) -> str:
    """The hash by which Chromium accepts an authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(authority.read_bytes()).public_key()
    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@contextmanager
def chromium(cloud: RunningCloud, profile: Path) -> Iterator[Any]:
    """A headless Chromium for which the world is the internet."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        f"--ignore-certificate-errors-spki-list={key_hash(cloud.state / 'ca' / 'ca.pem')}",
        f"--host-resolver-rules=MAP *:443 127.0.0.1:{cloud.port},"
        "EXCLUDE 127.0.0.1,EXCLUDE localhost,MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"profile.cookie_controls_mode": 0})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver", free_port()))
    try:
        yield driver
    finally:
        driver.quit()


def sign_in(driver: Any, cloud: RunningCloud, shop: str, account: str) -> None:
    """Sign the browser in through the genuine form."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import presence_of_element_located
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(f"https://{shop}/ap/signin")
    secret = cloud.accounts[account]
    driver.find_element(By.CSS_SELECTOR, "input[name=email]").send_keys(secret.username)
    driver.find_element(By.CSS_SELECTOR, "input[name=password]").send_keys(secret.password)
    driver.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    WebDriverWait(driver, PATIENCE).until(presence_of_element_located((By.ID, "greeting")))


WAIT_FOR_ADS = """
const done = arguments[arguments.length - 1], name = arguments[0], slots = arguments[1];
const started = performance.now();
(function look() {
  const prebid = window[name] || {}, ended = (prebid.getEvents ? prebid.getEvents() : [])
    .some(e => e.eventType === "auctionEnd");
  if (!ended && performance.now() - started < 60000) { return setTimeout(look, 20); }
  setTimeout(() => {
    const responses = prebid.getBidResponses(), bids = [];
    Object.keys(responses).forEach(code => responses[code].bids.forEach(b => bids.push({
      slot: code, bidder: b.bidderCode, cpm: b.cpm, currency: b.currency, request: b.requestId,
      creative: b.creativeId, domains: (b.meta || {}).advertiserDomains, size: b.size,
      ad: (b.ad || "").length})));
    const end = prebid.getEvents().filter(e => e.eventType === "auctionEnd")[0];
    const start = prebid.getEvents().filter(e => e.eventType === "auctionInit")[0];
    done({bids: bids, noBids: end.args.noBids.map(b => [b.bidder, b.adUnitCode, b.bidId]),
      auction: end.elapsedTime, started: start.elapsedTime,
      load: performance.timing.loadEventEnd - performance.timing.navigationStart,
      frames: document.querySelectorAll(".slot iframe").length,
      requests: performance.getEntriesByType("resource").length});
  }, 100);
})();
"""


def visit(driver: Any, url: str, variable: str = "pbjs") -> dict[str, Any]:
    """Load a page and return what its auction came to."""
    driver.set_script_timeout(90)
    driver.get(url)
    return dict(driver.execute_async_script(WAIT_FOR_ADS, variable, 0))
