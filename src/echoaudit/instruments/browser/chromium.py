"""Which Chromium runs, and with which flags and preferences: quiet, fixed, one profile."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from echoaudit.errors import Unavailable
from echoaudit.study.models import BrowserSettings

BINARIES = (
    # The bare program first: Debian's launcher adds extensions, which may block what is measured.
    "/usr/lib/chromium/chromium",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
DRIVERS = ("chromedriver", "/usr/lib/chromium/chromedriver")
INSTALL = "apt-get install chromium chromium-driver"

NOWHERE = "http://127.0.0.1:9/"
"""Where the browser's own services are sent: a closed port of this machine."""

# Chromium honours only the last --disable-features, so there is one list of them.
DISABLED_FEATURES = (
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DnsOverHttpsUpgrade",
    "HttpsUpgrades",
    "HttpsFirstBalancedMode",
    "HttpsFirstBalancedModeAutoEnable",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationGuideModelDownloading",
    "OptimizationHints",
    "Translate",
    # Pages of the address bar, prepared at each start: half of the processor's time that it takes.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
)

QUIET = (
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-service-autorun",
    f"--component-updater=url-source={NOWHERE}",
    f"--gaia-url={NOWHERE}",
    f"--google-apis-url={NOWHERE}",
    f"--google-base-url={NOWHERE}",
    f"--google-url={NOWHERE}",
    f"--variations-server-url={NOWHERE}",
)

STEADY = (
    "--disable-blink-features=AutomationControlled",
    "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--mute-audio",
    "--hide-scrollbars",
)

SMALL_SHARED_MEMORY = 512 * 1024**2


@dataclass(frozen=True)
class Chromium:
    """An installed browser and the driver that belongs to it."""

    binary: Path
    driver: Path
    version: str
    driver_version: str

    @property
    def user_agent(self) -> str:
        """The user agent of a visible Chromium of this version, in its reduced form."""
        major = self.version.split(".", maxsplit=1)[0]
        return (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{major}.0.0.0 Safari/537.36"
        )


def find(settings: BrowserSettings) -> Chromium:
    """The browser and driver that the settings name, or the installed ones.

    Raises ``Unavailable`` when one is missing, does not run, or is of another major version.
    """
    binary = _program("Chromium", "browser.binary", settings.binary, BINARIES)
    driver = _program("ChromeDriver", "browser.driver", settings.driver, DRIVERS)
    found = Chromium(binary, driver, _version(binary), _version(driver))
    majors = [
        version.split(".", maxsplit=1)[0] for version in (found.version, found.driver_version)
    ]
    if majors[0] != majors[1]:
        raise Unavailable(
            f"Chromium {found.version} and ChromeDriver {found.driver_version} do not fit together",
            fix=INSTALL,
        )
    return found


def headless(profile: Path) -> list[str]:
    """The beginning of a command that opens a page without a window or a driver.

    Raises ``Unavailable`` when no browser is installed.
    """
    return [
        str(_program("Chromium", "browser.binary", None, BINARIES)),
        *QUIET,
        "--no-proxy-server",
        "--headless=new",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        *_when(os.geteuid() == 0, "--no-sandbox"),
        *_when(_little_shared_memory(), "--disable-dev-shm-usage"),
    ]


def _program(what: str, setting: str, chosen: Path | None, usual: Sequence[str]) -> Path:
    names = [str(chosen)] if chosen else list(usual)
    for name in names:
        path = shutil.which(name)
        if path:
            return Path(path)
    if chosen:
        raise Unavailable(
            f"{what} is not at {chosen} ({setting})", fix=f"correct {setting}, or leave it out"
        )
    raise Unavailable(f"{what} is not installed", fix=INSTALL)


def _version(program: Path) -> str:
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{program} does not run: {error}", fix=INSTALL) from error
    version = re.search(r"\d+(?:\.\d+){1,3}", done.stdout)
    if done.returncode != 0 or version is None:
        raise Unavailable(
            f"{program} --version ends with exit code {done.returncode} and no version", fix=INSTALL
        )
    return version.group()


def arguments(
    settings: BrowserSettings, chromium: Chromium, profile: Path, extra: Sequence[str] = ()
) -> list[str]:
    """The browser's command line."""
    width, height = settings.window
    flags = [
        *QUIET,
        *STEADY,
        *_proxied(settings),
        f"--user-data-dir={profile}",
        f"--user-agent={chromium.user_agent}",
        f"--lang={settings.language}",
        f"--window-size={width},{height}",
        *_when(settings.headless, "--headless=new"),
        *_when(os.geteuid() == 0, "--no-sandbox"),
        *_when(_little_shared_memory(), "--disable-dev-shm-usage"),
        *_trusted(settings.trusted_authority),
    ]
    return merge_features([*flags, f"--disable-features={','.join(DISABLED_FEATURES)}", *extra])


def merge_features(flags: Sequence[str]) -> list[str]:
    """The flags with all ``--disable-features`` and ``--enable-features`` joined into one each."""
    merged: dict[str, dict[str, None]] = {}
    others = []
    for flag in flags:
        name, _, value = flag.partition("=")
        if name in ("--disable-features", "--enable-features"):
            merged.setdefault(name, {}).update(dict.fromkeys(value.split(",")))
        else:
            others.append(flag)
    return [*others, *(f"{name}={','.join(features)}" for name, features in merged.items())]


def preferences(settings: BrowserSettings) -> dict[str, Any]:
    """The profile's preferences."""
    block = settings.third_party_cookies == "block"
    return {
        "alternate_error_pages.enabled": False,
        "autofill.credit_card_enabled": False,
        "autofill.profile_enabled": False,
        "browser.enable_spellchecking": False,
        "credentials_enable_service": False,
        "download.prompt_for_download": False,
        "intl.accept_languages": _accept_languages(settings.language),
        "net.network_prediction_options": 2,
        "profile.block_third_party_cookies": block,
        "profile.cookie_controls_mode": 1 if block else 0,
        "profile.password_manager_enabled": False,
        "profile.password_manager_leak_detection": False,
        "safebrowsing.enabled": False,
        "search.suggest_enabled": False,
        "session.restore_on_startup": 4,
        "session.startup_urls": ["about:blank"],
        "signin.allowed": False,
        "translate.enabled": False,
        **_webrtc(settings),
    }


def local_state() -> dict[str, Any]:
    """Preferences of the whole browser: names are resolved by the network's own resolver."""
    return {"dns_over_https.mode": "off", "dns_over_https.templates": ""}


def environment(settings: BrowserSettings, profile: Path) -> dict[str, str]:
    """The browser's environment: its own home, language and time zone."""
    home = profile / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GOOGLE_")}
    # An all-C locale would make the browser forget the language that the flag asks for.
    locale = settings.language.replace("-", "_")
    # Where X programs look for leave to draw on the screen, which is not in the browser's own home.
    kept.setdefault("XAUTHORITY", str(Path.home() / ".Xauthority"))
    return kept | {"HOME": str(home), "TZ": settings.timezone, "LANGUAGE": locale}


def spki_hashes(authority: Path) -> list[str]:
    """Base64 SHA-256 of each certificate's public key (SPKI) in a PEM file.

    Raises ``Unavailable`` when the file cannot be read or holds no certificate.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError as error:
        raise Unavailable(
            "browser.trusted_authority needs the package cryptography",
            fix="pip install 'echoaudit[web]'",
        ) from error
    try:
        certificates = x509.load_pem_x509_certificates(authority.read_bytes())
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"browser.trusted_authority {authority} is no readable PEM certificate: {error}",
            fix="give the path of the authority's certificate in PEM form",
        ) from error
    keys = (
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for certificate in certificates
    )
    return [base64.b64encode(hashlib.sha256(key).digest()).decode() for key in keys]


def _trusted(authority: Path | None) -> list[str]:
    if authority is None:
        return []
    return [f"--ignore-certificate-errors-spki-list={','.join(spki_hashes(authority))}"]


def _proxied(settings: BrowserSettings) -> list[str]:
    """Flags by which all goes through the proxy, the resolving of names included."""
    if settings.proxy is None:
        return ["--no-proxy-server"]
    known = f"EXCLUDE {urlsplit(settings.proxy).hostname}, EXCLUDE localhost, EXCLUDE 127.0.0.1"
    return [
        f"--proxy-server={settings.proxy}",
        # Nobody but the proxy may be asked for a name, by whatever part of the browser.
        f"--host-resolver-rules=MAP * ~NOTFOUND, {known}",
    ]


def _webrtc(settings: BrowserSettings) -> dict[str, Any]:
    """Preferences that keep WebRTC from going around the proxy."""
    if settings.proxy is None:
        return {}
    return {"webrtc.ip_handling_policy": "disable_non_proxied_udp"}


def _when(condition: bool, *flags: str) -> list[str]:
    return list(flags) if condition else []


def _little_shared_memory() -> bool:
    try:
        status = os.statvfs("/dev/shm")
    except OSError:
        return True
    return status.f_bavail * status.f_frsize < SMALL_SHARED_MEMORY


def _accept_languages(language: str) -> str:
    base = language.split("-", maxsplit=1)[0]
    return language if base == language else f"{language},{base}"


def describe(settings: BrowserSettings, chromium: Chromium) -> Mapping[str, Any]:
    """What a recording keeps about the browser of a visit."""
    return {
        "name": "chromium",
        "version": chromium.version,
        "driver": chromium.driver_version,
        "headless": settings.headless,
        "user_agent": chromium.user_agent,
        "language": settings.language,
        "timezone": settings.timezone,
        "window": list(settings.window),
        "third_party_cookies": settings.third_party_cookies,
        "proxy": settings.proxy,
    }
