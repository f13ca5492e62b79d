"""Versions of everything that takes part in a run, for the recording."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata

from echoaudit import __version__

PATIENCE = 60.0
"""Seconds that a program gets to say its version."""
PROGRAMS = {
    "chromium": ("chromium", "--version"),
    "chromedriver": ("chromedriver", "--version"),
    "dumpcap": ("dumpcap", "--version"),
    "dnsmasq": ("dnsmasq", "--version"),
    "nft": ("nft", "--version"),
    "flite": ("flite", "--version"),
}
PACKAGES = (
    "mitmproxy", "moonshine-voice", "pandas", "pyarrow", "pyaudio", "scapy", "scipy", "selenium",
)  # fmt: skip


def tools() -> dict[str, str]:
    """Name and version of the software, the interpreter, the packages and programs in use."""
    found = {
        "echoaudit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    for name, command in PROGRAMS.items():
        found[name] = _first_line(command)
    return found


def _first_line(command: tuple[str, ...]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "unknown version"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown version"
