"""A real proxy (mitmproxy) that alone knows where the sites of ``.test`` are."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from local_ports import free_port

STARTING = 150.0
"""Seconds: on a busy machine it takes its time."""
ADDON = """
def server_connect(data):
    host, port = data.server.address
    with open({log!r}, "a") as log:
        log.write(f"{{host}}:{{port}}\\n")
    data.server.address = ("127.0.0.1", {port} if host.endswith(".test") else 9)
"""


class Proxy:
    """A proxy process; a context manager."""

    def __init__(
        self,
        folder: Path,
        sites_port: int,
        mode: str = "regular",
        user: str = "",
        hardump: Path | None = None,
    ) -> None:
        """``hardump``: a file for all that passes, decrypted; nothing is decrypted without."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "names"
        self._log.touch()
        addon = folder / "addon.py"
        addon.write_text(ADDON.format(log=str(self._log), port=sites_port))
        self.port = free_port()
        scheme = "socks5" if mode == "socks5" else "http"
        self.address = f"{scheme}://127.0.0.1:{self.port}"
        more = ["--proxyauth", user] if user else []
        what = f"hardump={hardump}" if hardump else "ignore_hosts=.*"
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("mitmdump")), "--quiet", "--mode", mode),
                *("--listen-host", "127.0.0.1", "--listen-port", str(self.port)),
                *("--set", f"confdir={folder}", "--set", what, "-s", str(addon)),
                *("--set", "ssl_insecure=true", *more),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Proxy:
        end = time.monotonic() + STARTING
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        self._process.kill()
        said, _ = self._process.communicate()
        raise TimeoutError(f"the proxy does not start: {said.decode(errors='replace')}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=STARTING)

    @property
    def names(self) -> list[str]:
        """Hosts and ports that it was asked for."""
        return self._log.read_text().split()
