"""One session of one device: packets, names and exchanges into one folder."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path

from echoaudit.instruments.gateway import doh, keys, rules
from echoaudit.instruments.gateway.lan import Client
from echoaudit.instruments.gateway.names import NameLog
from echoaudit.instruments.gateway.packets import PacketCapture
from echoaudit.instruments.gateway.proxy import Proxy
from echoaudit.recording import write_json
from echoaudit.study.models import GatewaySettings

SETTLE = 0.3
"""Seconds between a session's end and its capture's: packets wait in the kernel's buffer."""


class Session:
    """Recording from the moment it is made until :meth:`finish`."""

    def __init__(
        self,
        settings: GatewaySettings,
        client: Client,
        folder: Path,
        *,
        names: NameLog,
        proxy: Proxy | None,
        log: Path,
    ) -> None:
        """Start; packets are being taken when this returns.

        ``proxy`` is None for a device whose TLS passes by untouched.
        """
        self._settings, self._client, self._folder = settings, client, folder
        self._names, self._proxy = names, proxy
        self._counted = rules.counters()
        self._file = folder / "traffic.pcapng"
        self.packets = PacketCapture(settings.lan, client.mac, self._file, log)
        self.started = time.time()
        if proxy is not None:
            self._position = proxy.key_position()
            proxy.assign(client.ip, folder / "proxy.mitm")

    def finish(self) -> None:
        """Stop and put every file in place."""
        time.sleep(SETTLE)
        ended = time.time()
        losses = self.packets.stop()
        counted = rules.counted_since(self._counted, rules.counters(), self._client.mac)
        names = self._names.take(self._client.account, self._folder / "names.jsonl")
        asked = doh.questions(self._folder / "names.jsonl")
        if self._proxy is not None:
            self._proxy.release(self._client.ip)
            self._keep_keys(self._proxy)
        write_json(
            self._folder / "capture.json",
            {
                "program": "dumpcap",
                "interface": self._settings.lan,
                "filter": self.packets.filter,
                "started": self.started,
                "ended": ended,
                "packets": asdict(losses),
                "names": names,
                "policy": self._client.policy,
                "quic": {"policy": self._settings.quic, **counted["quic"]},
                "dot": {"policy": self._settings.dot, **counted["dot"]},
                "doh": {"policy": self._settings.doh, **counted["doh"], "questions": asked},
                "redirected_dns": counted["dns"],
            },
        )

    def _keep_keys(self, proxy: Proxy) -> None:
        """Write the session's secrets and put them into its capture."""
        kept = keys.of_capture(proxy.keys_since(self._position), keys.client_randoms(self._file))
        file = self._folder / "keys.log"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:  # noqa: PTH123
            out.writelines(f"{line}\n" for line in kept)
        if kept:
            keys.inject(self._file, file)
