"""Crashes, full disks and power cuts at every single operation of a run."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from recordings import BrowserBroke, assess, run

from echoaudit.errors import EchoauditError
from echoaudit.recording import Recording, durable

CRASHED = 9
Watcher = Callable[[str, Path, bytes], None]


@pytest.fixture
def place(tmp_path):
    """A folder in memory: nothing here depends on the speed of a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = memory / f"echoaudit-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _unwatched():
    yield
    durable.watch(None)


class Counting:
    """Acts at the n-th operation of a run, or just after part of its bytes were written."""

    def __init__(self, at: int, part: float, act: Callable[[], None]) -> None:
        self.at, self.part, self.act = at, part, act
        self.seen = 0

    def __call__(self, name: str, path: Path, data: bytes) -> None:
        self.seen += 1
        if self.seen == self.at:
            if self.part:
                with path.open("ab") as file:
                    file.write(data[: max(1, int(len(data) * self.part))])
            self.act()


def die() -> None:
    os._exit(CRASHED)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def in_child(folder: Path, watcher: Watcher | None) -> int:
    """Run in a forked process; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            durable.watch(watcher)
            run(folder)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def points(folder: Path) -> list[tuple[int, float]]:
    """Every operation of an undisturbed run, and each write also half-way and one byte short."""
    operations: list[str] = []
    durable.watch(lambda name, path, data: operations.append(name))
    run(folder)
    durable.watch(None)
    shutil.rmtree(folder)
    assert {"write", "fsync", "rename", "mkdir"} <= set(operations)
    return [
        (number, part)
        for number, name in enumerate(operations, start=1)
        for part in ((0, 0.5, 0.999) if name == "write" else (0,))
    ]


def test_a_crash_at_any_point_loses_and_doubles_nothing(place, record_property):
    wrong: Counter[str] = Counter()
    injected = points(place / "r")
    for at, part in injected:
        folder = place / f"r{at}-{part}"
        assert in_child(folder, Counting(at, part, die)) == CRASHED
        run(folder)
        wrong += assess(folder)
        shutil.rmtree(folder)
    record_property("points", len(injected))
    assert len(injected) > 200
    assert not wrong


def test_a_crash_while_resuming_after_a_crash_loses_and_doubles_nothing(place, record_property):
    wrong: Counter[str] = Counter()
    injected = 0
    for at, part in points(place / "r")[::29]:
        for again in range(1, 25, 4):
            folder = place / f"r{at}-{part}-{again}"
            in_child(folder, Counting(at, part, die))
            in_child(folder, Counting(again, 0, die))
            run(folder)
            wrong += assess(folder)
            shutil.rmtree(folder)
            injected += 1
    record_property("points", injected)
    assert not wrong


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
def test_a_disk_full_at_any_point_is_one_clear_line_and_resumes(place, lasting):
    wrong: Counter[str] = Counter()
    # Each point once: every other one fills up for a moment, the others for good.
    for at, part in points(place / "r")[lasting::2]:
        folder = place / f"r{at}-{part}"
        watcher = Counting(at, part, full)
        durable.watch(lambda *a, w=watcher: full() if lasting and w.seen >= w.at else w(*a))
        try:
            run(folder)
            ended = None
        except (EchoauditError, BrowserBroke) as error:
            ended = error
        durable.watch(None)
        if isinstance(ended, EchoauditError):
            assert ended.exit_code == 3
            assert len(str(ended).splitlines()) == 1
            assert "fix: free disk space" in str(ended)
            assert not list(place.glob(".*.new/*"))
        elif lasting:
            pytest.fail(f"point {at} went unnoticed")
        run(folder)
        wrong += assess(folder)
        shutil.rmtree(folder)
    assert not wrong


class PowerCut:
    """Keeps what is certainly on disk, by inode, and leaves only that at the n-th operation."""

    def __init__(self, root: Path, at: int, survivors: Path) -> None:
        self.root, self.at, self.survivors = root, at, survivors
        self.seen = 0
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self.syncing: Path | None = None
        self._synced(root)

    def __call__(self, name: str, path: Path, data: bytes) -> None:
        self.seen += 1
        if self.syncing is not None:
            self._synced(self.syncing)
        self.syncing = path if name == "fsync" else None
        if self.seen == self.at:
            self._restore(self.root.stat().st_ino, self.survivors)
            die()
        if name in {"unlink", "rename"} and path.exists():
            self.files.pop(path.stat().st_ino, None)

    def _synced(self, path: Path) -> None:
        number = path.stat().st_ino
        if path.is_dir():
            self.folders[number] = {p.name: (p.stat().st_ino, p.is_dir()) for p in path.iterdir()}
        else:
            self.files[number] = path.read_bytes()

    def _restore(self, folder: int, target: Path) -> None:
        target.mkdir()
        for name, (number, is_folder) in self.folders.get(folder, {}).items():
            if is_folder:
                self._restore(number, target / name)
            else:
                (target / name).write_bytes(self.files.get(number, b""))


def test_a_power_cut_at_any_point_loses_nothing_that_was_finished(place, record_property):
    wrong: Counter[str] = Counter()
    whole = points(place / "r")
    for at in {at for at, _ in whole}:
        root, survivors = place / f"live{at}", place / f"after{at}"
        root.mkdir()
        assert in_child(root / "r", PowerCut(root, at, survivors)) == CRASHED
        before = finished(root / "r")
        assert finished(survivors / "r") >= before - {newest(root / "r")}
        run(survivors / "r")
        wrong += assess(survivors / "r")
        shutil.rmtree(root)
        shutil.rmtree(survivors)
    record_property("points", len({at for at, _ in whole}))
    assert not wrong


def finished(folder: Path) -> frozenset[str]:
    return Recording.open(folder).finished if folder.is_dir() else frozenset()


def newest(folder: Path) -> str | None:
    """The step whose record was written last: its fsync may not have returned."""
    if not folder.is_dir():
        return None
    last = list(Recording.open(folder).events())[-1]
    return last.data["step"] if last.event == "step-finished" else None


KILLED_RUN = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from recordings import STEPS, begin, leave_evidence
from echoaudit.recording import Recording
folder = Path(sys.argv[2])
recording = Recording.resume(folder) if folder.exists() else begin(folder)
steps = [f"vanilla-{i}/visits/b{j}-x" for i in range(8) for j in range(6)]
def act(step):
    with recording.step(step, "visit") as place:
        leave_evidence(place, step)
        time.sleep(0.1)
print("ready", flush=True)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(act, [s for s in steps if s not in recording.finished]))
recording.seal()
"""


def test_parallel_accounts_survive_sigkill(place):
    folder = place / "r"
    command = [sys.executable, "-c", KILLED_RUN, str(Path(__file__).parent), str(folder)]
    kills = 0
    for delay in (0.0, 0.01, 0.05, 0.12, 0.15, None):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        if delay is not None:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills >= 3
    recording = Recording.open(folder)
    steps = [e.data["step"] for e in recording.events() if e.event == "step-finished"]
    assert len(steps) == len(set(steps)) == 48
    assert recording.sealed


FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from recordings import begin, record_step, STEPS
from echoaudit.errors import Unavailable
from echoaudit.recording import Recording, verify
folder = Path(sys.argv[2]) / "r"
recording = begin(folder)
try:
    with recording.step("fashion-1/visits/b1-big", "visit") as place:
        with (place / "big").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
except Unavailable as error:
    print(error)
recording.close()
kept = [p for p in folder.rglob("big")]
print(len(kept), [str(p) for p in verify(folder)])
kept[0].unlink()
with Recording.resume(folder) as recording:
    for step, kind in STEPS.items():
        record_step(recording, step, kind)
    recording.seal()
print(verify(folder, "full"))
"""


def test_a_disk_that_is_really_full(tmp_path):
    script = (
        f'mount -t tmpfs -o size=256k none "{tmp_path}" && '
        f'"{sys.executable}" -c "$0" "{Path(__file__).parent}" "{tmp_path}"'
    )
    namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
    usable = shutil.which("unshare") and not subprocess.call([*namespaces, "true"])
    if not usable:
        pytest.skip("needs user namespaces")
    done = subprocess.run(
        [*namespaces, "sh", "-c", script, FULL_DISK], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    full_disk, kept, whole = done.stdout.splitlines()
    assert "No space left on device; fix: free disk space" in full_disk
    assert kept.startswith("1 ")
    assert whole == "[]"
