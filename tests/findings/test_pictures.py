"""Pictures of ads are drawn anew, whatever a recording holds in their place."""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from echoaudit.findings import pictures as module
from echoaudit.findings.pictures import SIDES, pictures, small_picture


@dataclass(frozen=True)
class Step:
    id: str
    folder: Path

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def path(self, name: str) -> Path:
        return self.folder / name


@dataclass(frozen=True)
class Evidence:
    found: tuple[Step, ...]

    def steps(self, _kind: str) -> tuple[Step, ...]:
        return self.found


def ads(*rows: tuple[str, str, str]) -> pd.DataFrame:
    named = [(visit, n, creative, image) for n, (visit, creative, image) in enumerate(rows)]
    return pd.DataFrame(named, columns=["visit", "index", "creative", "image"])


def test_a_picture_is_small_and_only_pixels(tmp_path: Path) -> None:
    path = tmp_path / "00.png"
    note = b"\x00\x00\x00\x0btEXtComment\x00abc"
    Image.new("RGBA", (970, 250), (200, 10, 10, 128)).save(path)
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDAT", 1) + note)
    small = small_picture(path)
    assert small is not None and b"abc" not in small
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG"
        assert image.width <= SIDES[0] and image.height <= SIDES[1]
        red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert (red > 200, 110 < green < 150, 110 < blue < 150) == (True, True, True)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n", b"<svg onload='alert(1)'/>", b"GIF89a\x01\x00\x01\x00;"],
)
def test_what_is_no_png_is_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "00.png"
    path.write_bytes(content)
    assert small_picture(path) is None


def test_the_first_whole_picture_of_each_creative_until_the_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (300, 250), "navy").save(tmp_path / "whole.png")
    evidence = Evidence((Step("v1", tmp_path),))
    table = ads(
        ("v1", "a", "torn.png"), ("v1", "a", "whole.png"), ("v1", "b", "gone.png"),
        ("v0", "c", "whole.png"), ("v1", "d", "whole.png"), ("v1", "e", "whole.png"),
    )  # fmt: skip
    found = pictures(evidence, table, ["e", "a", "b", "c", "d"])  # type: ignore[arg-type]
    assert list(found) == ["e", "a", "d"]
    monkeypatch.setattr(module, "BUDGET", 2 * len(found["e"]))
    assert list(pictures(evidence, table, ["a", "d", "e"])) == ["a", "d"]  # type: ignore[arg-type]
