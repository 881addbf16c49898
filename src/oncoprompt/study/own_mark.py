"""The mark by which a file is known to be ours and unchanged: a digest of its content, kept inside of it.

Each format has a place for it that readers pass over: NIfTI's field `aux_file`, a text chunk of a PNG, a key in JSON,
a comment in HTML, Markdown and zip files (npz, pth), the metadata of safetensors.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_NAME = b"oncoprompt"
_SHORT = 13
_AUX_FIELDS = {348: slice(228, 252), 540: slice(320, 344)}
"""Where `aux_file` lies in the headers of NIfTI-1 and NIfTI-2, by the size of the header."""

_JSON = re.compile(rb',\n  "written_by": "oncoprompt ([0-9a-f]{64})"\n\}\n\Z')
_COMMENT = re.compile(rb"\n<!-- oncoprompt ([0-9a-f]{64}) -->\n\Z")
_PNG_END = 12


@dataclass(frozen=True)
class _Format:
    """How a mark is put into content, and taken out of it again: the content without it, and the digest."""

    put: Callable[[bytes, str], bytes]
    take: Callable[[bytes], tuple[bytes, str] | None]
    length: int = 64


def marked(name: str, content: bytes) -> bytes:
    """The bytes of a file of this name: its content, not compressed, with its mark; then compressed for .gz.

    Without a mark where the format has no place for one.
    """
    form = _format(name)
    if form is not None:
        content = form.put(content, hashlib.sha256(content).hexdigest()[: form.length])
    return gzip.compress(content, compresslevel=4, mtime=0) if name.lower().endswith(".gz") else content


def is_unchanged(path: Path) -> bool | None:
    """Whether a file is as this program wrote it; None where it bears no mark of ours."""
    form = _format(path.name)
    # reading a pipe would wait for ever
    if form is None or not path.is_file():
        return None
    try:
        content = path.read_bytes()
        found = form.take(gzip.decompress(content) if path.name.lower().endswith(".gz") else content)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, IndexError):
        return None
    if found is None:
        return None
    inner, digest = found
    return hashlib.sha256(inner).hexdigest()[: form.length] == digest


def _format(name: str) -> _Format | None:
    lower = name.lower()
    return next((form for endings, form in _FORMATS.items() if lower.endswith(endings)), None)


def _aux_field(content: bytes) -> slice:
    return _AUX_FIELDS[int.from_bytes(content[:4], "little")]


def _put_nifti(content: bytes, digest: str) -> bytes:
    field = _aux_field(content)
    return content[: field.start] + (_NAME + b":" + digest.encode()).ljust(24, b"\0") + content[field.stop :]


def _take_nifti(content: bytes) -> tuple[bytes, str] | None:
    field = _aux_field(content)
    name, _, digest = content[field].rstrip(b"\0").partition(b":")
    return (content[: field.start] + bytes(24) + content[field.stop :], digest.decode()) if name == _NAME else None


def _put_png(content: bytes, digest: str) -> bytes:
    body = b"tEXt" + _NAME + b"\0" + digest.encode()
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return content[:-_PNG_END] + chunk + content[-_PNG_END:]


def _take_png(content: bytes) -> tuple[bytes, str] | None:
    length = len(_put_png(bytes(_PNG_END), "0" * 64)) - _PNG_END
    chunk = content[-_PNG_END - length : -_PNG_END]
    digest = chunk[-68:-4]
    inner = content[: -_PNG_END - length] + content[-_PNG_END:]
    return (inner, digest.decode()) if chunk[4:].startswith(b"tEXt" + _NAME + b"\0") else None


def _put_json(content: bytes, digest: str) -> bytes:
    if not content.endswith(b"\n}\n"):
        return content
    return content[:-3] + f',\n  "written_by": "oncoprompt {digest}"\n}}\n'.encode()


def _put_comment(content: bytes, digest: str) -> bytes:
    return content + f"\n<!-- oncoprompt {digest} -->\n".encode()


def _taken(pattern: re.Pattern[bytes], end: bytes) -> Callable[[bytes], tuple[bytes, str] | None]:
    def take(content: bytes) -> tuple[bytes, str] | None:
        found = pattern.search(content)
        return None if found is None else (content[: found.start()] + end, found[1].decode())

    return take


def _put_zip(content: bytes, digest: str) -> bytes:
    comment = _NAME + b" " + digest.encode()
    return content[:-2] + len(comment).to_bytes(2, "little") + comment


def _take_zip(content: bytes) -> tuple[bytes, str] | None:
    comment = content[-len(_NAME) - 65 :]
    inner = content[: -len(comment) - 2] + b"\0\0"
    return (inner, comment[-64:].decode()) if comment.startswith(_NAME + b" ") else None


def _put_safetensors(content: bytes, digest: str) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = {**header.get("__metadata__", {}), _NAME.decode(): f"{digest} {size}"}
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    # what was there goes along, so that it can be had again to the byte
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _take_safetensors(content: bytes) -> tuple[bytes, str] | None:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    told = metadata.pop(_NAME.decode(), None) if isinstance(metadata, dict) else None
    if told is None:
        return None
    digest, before = str(told).split()
    text = json.dumps(header, separators=(",", ":")).encode().ljust(int(before))
    return int(before).to_bytes(8, "little") + text + content[8 + size :], digest


_FORMATS: dict[tuple[str, ...], _Format] = {
    (".nii", ".nii.gz"): _Format(_put_nifti, _take_nifti, _SHORT),
    (".png",): _Format(_put_png, _take_png),
    (".json",): _Format(_put_json, _taken(_JSON, b"\n}\n")),
    (".html", ".md"): _Format(_put_comment, _taken(_COMMENT, b"")),
    (".npz", ".pth"): _Format(_put_zip, _take_zip),
    (".safetensors",): _Format(_put_safetensors, _take_safetensors),
}
