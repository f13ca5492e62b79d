"""Capture readers compared on one synthetic capture: ``python benchmarks/traffic.py``.

Makes the capture with its truth (``--size``, 1 GiB if not given), lets each reader read it in a
process of its own and prints CPU and wall time, peak memory and how often its counts and names
differ from the truth. ``c`` and ``python`` are echoaudit's two scanners. Readers that are not
installed are skipped by name; ``uv pip install --group bench`` installs the Python ones. The exit
code is 1 when echoaudit's flows, look-ups or names differ from the truth or from tshark's, or, with
``--goals``, when a goal below is missed; they are meant for the capture of 1 GiB.

CPU is what counts on a machine that does other work too. It is the whole process, start included,
until everything was read; of tshark only tshark itself, not adding its fields up. A name counts as
missed when the reader does not give it, as wrong when it gives another. ``cat`` and ``c`` are over
so soon that a moment of other work weighs on them: they are run in turn, and of each the quickest
run counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from echoaudit.outcomes.traffic import read_capture
from echoaudit.outcomes.traffic.quick import VARIABLE, available

HERE = Path(__file__).parent
READERS = ("cat", "c", "python", "nfstream", "dpkt", "tshark", "scapy")
OURS = ("c", "python")
"""echoaudit's scanners."""
PROGRAMS = ("cat", "tshark")
QUICK, TURNS = ("cat", "c"), 6
"""Readers that are run in turn, and how often."""
GOALS = {
    "python": {"nfstream": 2.0, "dpkt": 5.0, "tshark": 9.0},
    "c": {"nfstream": 7.0, "dpkt": 15.0, "tshark": 30.0},
}
"""How many times the CPU of each of echoaudit's scanners others must take at least."""
MOST_OF_CAT = 8.0
"""Times the CPU of ``cat`` that the scanner in C may take at most."""
MOST_MEMORY = 100
"""MiB that echoaudit may take at most."""
MIB = 1 << 20
Found = dict[str, Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def installed(reader: str) -> bool:
    """Whether a reader can be run here."""
    if reader in OURS:
        return reader == "python" or available()
    if reader in PROGRAMS:
        return shutil.which(reader) is not None
    return importlib.util.find_spec(reader) is not None


def measure(reader: str, capture: Path) -> Found:
    """What a reader found, and ``wall`` seconds."""
    begin = time.perf_counter()
    # As after an installation: modules were compiled once, the reader's own too.
    run = f"import sys; sys.path.insert(0, {str(HERE)!r}); import readers; readers.main()"
    command = [sys.executable, "-c", run, reader, str(capture)]
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    chosen = {VARIABLE: reader} if reader in OURS else {}
    done = subprocess.run(command, capture_output=True, check=False, env=given | chosen)
    if done.returncode:
        raise SystemExit(f"{reader} failed:\n{done.stderr.decode()}")
    found: Found = json.loads(done.stdout)
    return found | {"wall": time.perf_counter() - begin}


def quickest(readers: list[str], capture: Path) -> dict[str, Found]:
    """What each of some readers found, in the run of several that took the least CPU."""
    best: dict[str, Found] = {}
    for _ in range(TURNS):
        for reader in readers:
            found = measure(reader, capture)
            if reader not in best or found["cpu"] < best[reader]["cpu"]:
                best[reader] = found
    return best


def counts(found: Found) -> Rows:
    """Packets and bytes by connection."""
    return {tuple(row[:5]): tuple(row[5:]) for row in found["ends"]}


def names(found: Found) -> Rows:
    """Names by connection."""
    return {tuple(row[:5]): tuple(row[5:]) for row in found["names"]}


def expected(truth: Found) -> Found:
    """The generator's truth in the form in which readers answer."""
    ends: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    named: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for _, client, port, server, server_port, protocol, *sizes, name in truth["flows"]:
        key = (client, port, server, server_port, protocol)
        if server_port > port:
            key = (server, server_port, client, port, protocol)
        ends[key][0] += sizes[0] + sizes[1]
        ends[key][1] += sizes[2] + sizes[3]
        if name:
            named[key].add(name)
    lookups = {(name, kind, *addresses) for _, name, kind, addresses in truth["lookups"]}
    return {
        "ends": [[*key, *total] for key, total in ends.items()],
        "names": [[*key, *sorted(found)] for key, found in named.items()],
        "lookups": sorted(lookups),
    }


def wrong_counts(found: Found, truth: Found) -> int:
    """Connections of either whose packets or bytes differ in the other."""
    mine, theirs = counts(found), counts(truth)
    return sum(mine.get(key) != theirs.get(key) for key in mine.keys() | theirs.keys())


def missed_and_wrong_names(found: Found, truth: Found) -> tuple[int, int]:
    """Names of the truth that a reader does not give, and names that are not in the truth."""
    mine, theirs = names(found), names(truth)
    missed = sum(len(set(named) - set(mine.get(key, ()))) for key, named in theirs.items())
    wrong = sum(len(set(named) - set(theirs.get(key, ()))) for key, named in mine.items())
    return missed, wrong


def wrong_flows(capture: Path, truth: Found, scanner: str) -> int:
    """Rows of the full table of flows and look-ups that differ from the truth, both ways."""
    traffic = read_capture(capture, scanner=scanner)
    mine = [
        (f.client_mac, f.client, f.client_port, f.server, f.server_port, f.protocol, f.packets_up,
         f.packets_down, f.bytes_up, f.bytes_down, f.payload_up, f.payload_down,
         f.sni or f.http_host)
        for f in traffic.flows
    ]  # fmt: skip
    asked = [(one.client, one.question, one.type, *one.addresses) for one in traffic.lookups]
    known = [(client, name, kind, *found) for client, name, kind, found in truth["lookups"]]
    return sum(
        a != b
        for found, true in ((mine, map(tuple, truth["flows"])), (asked, known))
        for a, b in zip_longest(sorted(found), sorted(true))
    )


def line(reader: str, found: Found, truth: Found, ours: list[Found]) -> str:
    """One line of the table."""
    cpu, wall, peak = found["cpu"], found["wall"], found["peak"] / MIB
    text = f"{reader:<10}{cpu:>9.2f}{wall:>9.2f}{peak:>9.0f}"
    if found["packets"] < truth["packets"] and reader == "scapy":
        cpu *= truth["packets"] / found["packets"]
    times = "".join(f"{cpu / one['cpu']:>9.1f}x" for one in ours)
    if reader == "cat":
        return text
    if reader == "scapy":
        return f"{text}{times}  on {found['packets']} packets; all: {cpu:.0f} s CPU"
    missed, wrong = missed_and_wrong_names(found, expected(truth))
    counted = wrong_counts(found, expected(truth))
    return f"{text}{times}{counted:>9}{missed:>9}{wrong:>9}"


def against_tshark(mine: Found, tshark: Found) -> int:
    """Counts, names and answers that tshark has and echoaudit has not or has otherwise."""
    missed, _ = missed_and_wrong_names(mine, tshark)
    answers = {tuple(row) for row in tshark["lookups"]} - {tuple(row) for row in mine["lookups"]}
    return wrong_counts(mine, tshark) + missed + len(answers)


def missed_goals(all_found: dict[str, Found]) -> list[str]:
    """The goals that the measured readers miss, in words."""
    found = []
    for ours, goals in GOALS.items():
        if ours not in all_found:
            continue
        own = all_found[ours]
        for reader, least in goals.items():
            if reader in all_found and all_found[reader]["cpu"] < least * own["cpu"]:
                found.append(f"{ours}: {reader} takes less than {least:g} times its CPU")
        if own["peak"] > MOST_MEMORY * MIB:
            found.append(f"{ours}: takes more than {MOST_MEMORY} MiB")
    if all(one in all_found for one in QUICK):
        floor, quick = (all_found[one]["cpu"] for one in QUICK)
        if quick > MOST_OF_CAT * floor:
            found.append(f"c: takes more than {MOST_OF_CAT:g} times the CPU of cat")
    return found


def compare(capture: Path, truth: Found, wanted: list[str], goals: bool) -> int:
    """Print the table; 1 when echoaudit is wrong somewhere or, if asked for, misses a goal."""
    print(f"{capture.stat().st_size / MIB:.0f} MiB, {truth['packets']} packets, "
          f"{len(truth['flows'])} flows, {len(truth['lookups'])} look-ups\n")  # fmt: skip
    ours = [reader for reader in OURS if reader in wanted and installed(reader)]
    units = "".join(f"{reader + '=1':>10}" for reader in ours)
    print(f"{'reader':<10}{'CPU s':>9}{'wall s':>9}{'MiB':>9}{units}{'counts':>9}"
          f"{'missed':>9}{'wrong':>9}")  # fmt: skip
    all_found = quickest([one for one in QUICK if one in wanted and installed(one)], capture)
    for reader in wanted:
        if not installed(reader):
            print(f"{reader:<10} not installed")
            continue
        if reader not in all_found:
            all_found[reader] = measure(reader, capture)
        measured = [all_found[one] for one in ours if one in all_found]
        print(line(reader, all_found[reader], truth, measured), flush=True)
    if all(one in all_found for one in QUICK):
        floor, ours_cpu = (all_found[one]["cpu"] for one in QUICK)
        print(f"\nc against cat: {ours_cpu / floor:.1f}x the CPU, quickest of {TURNS} runs in turn")
    wrong = sum(check(capture, truth, one, all_found) for one in ours)
    missed = missed_goals(all_found) if goals else []
    print("".join(f"\nmissed: {one}" for one in missed))
    return int(wrong > 0 or bool(missed))


def check(capture: Path, truth: Found, scanner: str, all_found: dict[str, Found]) -> int:
    """Print and count what one of echoaudit's scanners has otherwise than truth and tshark."""
    problems = wrong_flows(capture, truth, scanner)
    print(f"\n{scanner} against the truth: {problems} rows of flows and look-ups differ")
    if "tshark" in all_found:
        other = against_tshark(all_found[scanner], all_found["tshark"])
        print(f"{scanner} against tshark: {other} counts, names or answers differ")
        problems += other
    return problems


def main() -> int:
    """Make the capture unless it is there, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB of capture (default 1024)")
    parser.add_argument("--keep", type=Path, help="capture to use; made when it is not there")
    parser.add_argument("--goals", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--readers", default=",".join(READERS), help="which, separated by commas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture: Path = options.keep or Path(folder) / "capture.pcap"
        if not capture.exists():
            # In a process of its own: memory of the maker would count as memory of the readers.
            command = [sys.executable, HERE / "synthetic.py", capture, str(options.size * MIB)]
            subprocess.run(command, check=True)
        truth = json.loads(capture.with_name(capture.name + ".json").read_text())
        return compare(capture, truth, options.readers.split(","), options.goals)


if __name__ == "__main__":
    sys.exit(main())
