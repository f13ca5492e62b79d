"""What mitmdump's addon keeps of a device's exchanges, run by the real mitmdump."""

import base64
import json
import os
import subprocess
import sys

import pytest

from echoaudit.instruments.gateway.child import find_program
from echoaudit.instruments.gateway.proxy import ADDON
from echoaudit.recording import formats

pytestmark = pytest.mark.skipif(find_program("mitmdump") is None, reason="needs mitmproxy")

FLOWS = """
import sys
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

def make(client, flow):
    flow.client_conn.peername = (client, 40001)
    flow.client_conn.sni = "api.example"
    return flow

plain = make("10.0.0.5", tflow.tflow(resp=True))
plain.request.url = "https://api.example/v1/events?uid=7"
plain.request.headers["X-Odd"] = "caf\\udce9"
plain.request.content = b"\\x00voice"
plain.response.headers["Content-Type"] = "application/json"
plain.response.headers["Content-Encoding"] = "gzip"
plain.response.content = b'{"speak": "Hello"}'
streamed = make("10.0.0.5", tflow.tflow(resp=True))
streamed.request.raw_content = None
large = make("10.0.0.5", tflow.tflow(resp=True))
large.request.content = bytes(3 * 2**20)
socket = make("10.0.0.5", tflow.twebsocketflow())
raw = make("10.0.0.6", tflow.ttcpflow())
failed = make("10.0.0.5", tflow.tflow(err=True))
with open(sys.argv[1], "wb") as file:
    for flow in (plain, streamed, large, socket, raw, failed):
        FlowWriter(file).add(flow)
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The session's folder after mitmdump has seen the flows, and the folder of links."""
    folder = tmp_path_factory.mktemp("proxy")
    links, session = folder / "flows", folder / "session"
    links.mkdir()
    session.mkdir()
    (links / "10.0.0.5").symlink_to(session / "proxy.mitm")
    subprocess.run([sys.executable, "-c", FLOWS, str(folder / "all.mitm")], check=True)
    mitmdump = find_program("mitmdump")
    subprocess.run(
        [mitmdump, "-q", "-n", "-r", str(folder / "all.mitm"), "-s", str(ADDON),
         "--set", f"confdir={folder}"],
        check=True, env={**os.environ, "ECHOAUDIT_FLOWS": str(links)},
    )  # fmt: skip
    return session, links


def test_each_flow_is_a_line_beside_the_flows_themselves(kept):
    session, _ = kept
    for name in ("proxy.mitm", "proxy.jsonl"):
        formats.check(session / name)
    lines = [json.loads(line) for line in (session / "proxy.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["http", "http", "http", "websocket", "http"]
    plain, streamed, large, socket, failed = lines
    assert (plain["client"], plain["client_port"], plain["sni"]) == (
        "10.0.0.5", 40001, "api.example",
    )  # fmt: skip
    assert (plain["server"], plain["server_port"]) == ("192.168.0.1", 22)
    assert (plain["url"], plain["host"]) == ("https://api.example/v1/events?uid=7", "api.example")
    assert (plain["method"], plain["status"], plain["cut"]) == ("GET", 200, False)
    assert base64.b64decode(plain["answer"]) == b'{"speak": "Hello"}'
    assert large["answer"] is None, "no directive"
    assert base64.b64decode(plain["body"]) == b"\x00voice"
    assert dict(plain["headers"])["X-Odd"].startswith("caf")
    assert (streamed["body"], streamed["body_bytes"], streamed["cut"]) == (None, None, True)
    assert (len(base64.b64decode(large["body"])), large["body_bytes"], large["cut"]) == (
        2 * 2**20, 3 * 2**20, True,
    )  # fmt: skip
    assert [base64.b64decode(m["body"]) for m in socket["messages"]] == [
        b"hello binary",
        b"hello text",
    ]
    assert failed["error"]
    assert failed["status"] is None


def test_what_belongs_to_no_session_is_kept_apart(kept):
    _, links = kept
    (line,) = (links / "between-10.0.0.6.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == "tcp"
    assert (links / "between-10.0.0.6.mitm").stat().st_size > 0
