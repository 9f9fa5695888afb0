"""Makes the /path/to/... of a sample dataset config real: folders with a few tiny images and (empty) videos."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path

NAMES = ("a", "b", "c", "d")
SIDE = 64


def with_real_paths(file: Path, folder: Path) -> Path:
    """A copy of a dataset config in ``folder``, where whatever it names is made as well."""
    text = file.read_text(encoding="utf-8")
    for name in set(re.findall(r'= "/path/to/([^"]+)"', text)):
        _make(folder / name)
    copy = folder / file.name
    copy.write_text(text.replace("/path/to/", f"{folder.as_posix()}/"), encoding="utf-8")
    return copy


def _make(path: Path) -> None:
    """A metadata file and its images, or a folder of images and videos with captions."""
    images = path.parent / "images" if path.suffix else path
    if path.suffix == ".json":
        path.write_text(json.dumps({f"{name}.png": {"caption": name, "tags": "x, y"} for name in NAMES}))
    elif path.suffix == ".jsonl":
        lines = [{"image_path": str(images / f"{n}.png"), "video_path": str(images / f"{n}.mp4")} for n in NAMES]
        controls = {f"control_path_{i}": str(images / "a.png") for i in (0, 1)} if "edit" in path.stem else {}
        path.write_text("".join(json.dumps({**line, **controls, "caption": "x"}) + "\n" for line in lines))
    images.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (images / f"{name}.png").write_bytes(_png())
        (images / f"{name}.txt").write_text("one, two")
        (images / f"{name}.mp4").touch()


def _png() -> bytes:
    """A grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * 3 * SIDE) * SIDE
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
