"""A minute in which the browser does nothing, on a machine of its own: nothing leaves it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from echoaudit.lab.namespaces import available

PROBE = Path(__file__).with_name("idle_probe.py")
REFUSED = available()
MINUTE = 60
pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(REFUSED is not None, reason=f"no network namespaces: {REFUSED}"),
]


def test_nothing_leaves_an_idle_browser_in_a_minute(tmp_path):
    done = subprocess.run(
        [sys.executable, str(PROBE), str(tmp_path), str(MINUTE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    packets = json.loads(done.stdout.splitlines()[-1])
    assert any("canary.example" in packet for packet in packets["visit"])
    assert packets["idle"] == []
