"""Pages to PDF, by an installed Chromium without a network."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from echoaudit.errors import Unavailable

SECONDS = 120


def print_pdf(page: Path, pdf: Path) -> None:
    """Print an HTML file by its own print style.

    Raises:
        Unavailable: there is no Chromium, or it does not print.
    """
    from echoaudit.findings.store import write_bytes
    from echoaudit.instruments.browser.chromium import headless

    with tempfile.TemporaryDirectory(prefix="echoaudit-") as scratch:
        made = Path(scratch) / "page.pdf"
        command = [
            *headless(Path(scratch) / "profile"),
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-pdf-header-footer",
            f"--print-to-pdf={made}",
            page.resolve().as_uri(),
        ]
        fix = "open the report in a browser and print it there"
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise Unavailable(f"Chromium did not print in {SECONDS} s", fix=fix) from late
        if not made.is_file():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
            raise Unavailable(f"Chromium did not print: {last}", fix=fix)
        write_bytes(pdf, made.read_bytes())
