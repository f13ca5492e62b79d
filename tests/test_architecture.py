"""The rooms import only what docs/architecture.md allows them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "echoaudit"
ROW = re.compile(r"^\| `(?P<room>\w+)(?:/|\.py)` \| [^|]+ \| (?P<allowed>[^|]+) \|$", re.MULTILINE)
TABLE = {
    match["room"]: set(re.findall(r"`(\w+)(?:\.py)?`", match["allowed"]))
    if match["allowed"].strip() != "all"
    else None
    for match in ROW.finditer((ROOT / "docs/architecture.md").read_text())
}
SHARED = {"certificates", "domains", "errors", "npm", "resolvers"}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    package = ["echoaudit", *path.relative_to(SOURCE).parent.parts]
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        rooms |= {n.split(".")[1] for n in names if n.startswith("echoaudit.")}
    return rooms


def test_the_table_names_every_room() -> None:
    rooms = {room_of(p) for p in SOURCE.rglob("*.py")} - {"__init__", "__main__", *SHARED}
    assert rooms == set(TABLE)


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return
    allowed = TABLE.get(room, set())
    if allowed is None:
        return
    names = {p.name.removesuffix(".py") for p in SOURCE.iterdir()}
    used = imported_rooms(path) & names - {room, "__init__", *SHARED}
    assert used <= allowed, f"{room} must not import {used - allowed}"


def test_help_is_instant_because_it_imports_nothing_heavy() -> None:
    heavy = ("pandas", "numpy", "scapy", "mitmproxy", "selenium", "pydantic", "pyaudio", "altair")
    code = (
        "import sys; from echoaudit.cli import group; "
        "group.main(['--help'], standalone_mode=False); "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "run" in done.stdout
