"""The outside witness: one JSON a line for each call received, written before the call is answered.

Always a file, so that there is one way of reading it: the one that was asked for, or a nameless temporary one. Only
the offsets of the lines stay in memory. A line reaches the operating system before the answer does, so a killed
sandbox leaves a journal that tells of every call it answered.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from array import array
from pathlib import Path

from .call import Call, Doc, Json
from .clock import now_seconds, zulu

SECRET_NAMES = frozenset({"access_token", "refresh_token", "client_secret", "code", "code_verifier"})
MAX_BODY_BYTES = 64 * 1024
"""A larger body is noted by its size only."""


class Journal:
    """Appends and reads lines; ``seq`` counts from 1 and goes on over restarts of the same file."""

    def __init__(self, path: Path | None) -> None:
        """Open ``path`` for appending (kept over restarts), or a temporary file when ``None``."""
        self.path = path
        self._lock = threading.Lock()
        if path is None:
            self._file = tempfile.TemporaryFile(mode="w+b", buffering=0)  # noqa: SIM115 lives as long as the journal
        else:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._starts = array("q")
        self._end = 0
        self._find_lines()

    def _find_lines(self) -> None:
        """Note where each line of an earlier run begins."""
        if self.path is None:
            return
        with open(self.path, "rb") as lines:
            for line in lines:
                self._starts.append(self._end)
                self._end += len(line)
                if not line.endswith(b"\n"):  # cut short, by a full disk
                    self._file.write(b"\n")
                    self._end += 1

    def write(self, call: Call, status: int | None, started_seconds: float, control: bool) -> int:
        """Append one call. ``status`` is ``None`` when it gets no answer. Returns its ``seq``."""
        ended_seconds = now_seconds()
        entry: Doc = {
            "seq": 0,
            "time": zulu(started_seconds),
            "method": call.method,
            "path": call.path,
            "query": _redacted(call.query),
            "user_id": call.user_id,
            "client_id": call.client_id,
            "status": status,
            "duration_ms": round((ended_seconds - started_seconds) * 1000),
            "body": _written_body(call),
            "applied": call.applied,
            "fault": call.fault["action"] if call.fault else None,
            "note": call.note,
        }
        if control:
            entry["control"] = True
        with self._lock:
            entry["seq"] = len(self._starts) + 1
            line = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
            self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._starts.append(self._end)
            self._end += len(line)
            return int(entry["seq"])

    def read(self, after: int, limit: int) -> bytes:
        """Lines ``after+1 .. after+limit``, as they stand in the file."""
        with self._lock:
            first = min(max(0, after), len(self._starts))
            last = min(first + limit, len(self._starts))
            if first == last:
                return b""
            begin = self._starts[first]
            end = self._starts[last] if last < len(self._starts) else self._end
            self._file.seek(begin)
            return self._file.read(end - begin) or b""

    def count(self) -> int:
        """How many calls were received so far."""
        with self._lock:
            return len(self._starts)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _redacted(value: Json) -> Json:
    """``value`` with secrets replaced by a fingerprint: the same secret shows the same one."""
    if isinstance(value, dict):
        return {
            name: _fingerprint(inner) if name in SECRET_NAMES else _redacted(inner) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return value


def _fingerprint(value: Json) -> str:
    return "sha256:" + hashlib.sha256(str(value).encode()).hexdigest()[:12]


def _written_body(call: Call) -> Json:
    if call.method in ("GET", "HEAD") or not call.body:
        return None
    if len(call.body) > MAX_BODY_BYTES:
        return {"bytes": len(call.body)}
    try:
        return _redacted(json.loads(call.body))
    except (ValueError, RecursionError):
        form = dict(call.form_pairs())
        return _redacted(form) if form else {"bytes": len(call.body)}
