"""A crawl in which browsers are killed: ``python benchmarks/kills.py``.

Two accounts visit pages on the loopback interface while ``--kills`` (20) times, at random moments,
a browser, its driver or a renderer is killed. A run that ends early is given again, as a user would
do. Prints what became of the visits; the exit code is 1 when one was lost, doubled or half-sealed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "runner"))
from crawl_kit import crawl


def main() -> int:
    """Crawl, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--visits", type=int, default=40, help="visits of each account")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(
        prefix="echoaudit-kills-", ignore_cleanup_errors=True
    ) as folder:
        found = crawl(
            Path(folder), accounts=2, visits=chosen.visits, kills=chosen.kills, seed=chosen.seed
        )
    killed = ", ".join(f"{number} {what}" for what, number in sorted(found.killed.items()))
    states = ", ".join(f"{number} {state}" for state, number in sorted(found.states.items()))
    print(
        "| killed | visits | states | done again | resumed | lost | doubled | damaged | left over |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {killed} | {len(found.planned)} | {states} | {found.interrupted} | {found.resumed} | "
        f"{found.lost} | {found.doubled} | {len(found.damage)} | {len(found.left_over)} |"
    )
    for line in found.damage:
        print(line, file=sys.stderr)
    return 1 if found.lost or found.doubled or found.damage or found.left_over else 0


if __name__ == "__main__":
    sys.exit(main())
