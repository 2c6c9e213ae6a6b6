"""Every document of the sandbox, in memory, behind one lock; with a data folder also in one SQLite file.

A change is made inside ``with state.change():``. When the outermost one ends, the touched documents are written in
one transaction, before the lock is freed and so before the caller is answered: a ``kill -9`` loses nothing that was
answered. ``synchronous=OFF`` is enough for that, because what was handed to the operating system survives the
process; only a power cut could lose it, which a sandbox does not promise against.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .call import Doc

KINDS = (
    "setting",
    "counter",
    "application",
    "account",
    "grant",
    "token",
    "code",
    "item",
    "user_product",
    "order",
    "pack",
    "shipment",
    "buyer",
    "notification",
    "missed",
)
"""One table (a dict by key) each."""


class State:
    """The documents and their indexes.

    ``tables[kind][key]`` is a document. Read under ``lock``; write with ``save`` and ``drop`` inside ``change()``.
    Indexes: ``items_of`` (seller to item ids, oldest first), ``items_by_sku`` ((seller, SKU) to item ids),
    ``orders_of`` (seller to order keys, oldest first).
    """

    def __init__(self, path: Path | None) -> None:
        """Open, and load what an earlier run left at ``path``; ``None`` keeps everything in memory only.

        Raises: sqlite3.Error when the file is no such file, cannot be written, or another sandbox has it.
        """
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Doc]] = {kind: {} for kind in KINDS}
        self.items_of: dict[int, list[str]] = {}
        self.items_by_sku: dict[tuple[int, str], dict[str, None]] = {}
        self.orders_of: dict[int, list[str]] = {}
        self._skus_of: dict[str, frozenset[str]] = {}
        self._depth = 0
        self._dirty: dict[tuple[str, str], None] = {}
        self._after: list[Callable[[], None]] = []
        self._file = None if path is None else _open(path)
        if self._file is not None:
            self._load(self._file)

    def _load(self, file: sqlite3.Connection) -> None:
        # Building some 100,000 objects sets off collections that find nothing and double the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            for kind, key, body in file.execute("SELECT kind, key, body FROM docs ORDER BY rowid"):
                if kind in self.tables:
                    doc = json.loads(body)
                    self._index(kind, key, doc)
                    self.tables[kind][key] = doc
        finally:
            if collecting:
                gc.enable()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold the lock, and write what was touched when the outermost change ends.

        Callbacks left with ``after`` run then, outside the lock. A refusal half-way still writes what was already
        touched, so that the file always tells what memory tells; handlers check first and touch afterwards.
        """
        callbacks: list[Callable[[], None]] = []
        try:
            with self.lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                    if self._depth == 0:
                        self._flush()
                        callbacks, self._after = self._after, []
        finally:
            for callback in callbacks:
                callback()

    def after(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` once the current change is written and the lock is free."""
        self._after.append(callback)

    def save(self, kind: str, key: str | int, doc: Doc) -> None:
        """Keep a new document or the new content of a known one.

        Raises: RuntimeError outside ``change()``, where it would not be written.
        """
        self._must_be_changing()
        self._index(kind, str(key), doc)
        self.tables[kind][str(key)] = doc
        self._dirty[kind, str(key)] = None

    def drop(self, kind: str, key: str | int) -> None:
        """Forget a document; unknown ones are ignored. Items and orders are never dropped."""
        self._must_be_changing()
        if self.tables[kind].pop(str(key), None) is not None:
            self._dirty[kind, str(key)] = None

    def get(self, kind: str, key: str | int) -> Doc | None:
        """A document or ``None``."""
        return self.tables[kind].get(str(key))

    def next_number(self, name: str, start: int) -> int:
        """The next number of a named sequence; never the same twice, also over restarts."""
        counter = self.tables["counter"].get(name) or {"value": start - 1}
        counter["value"] += 1
        self.save("counter", name, counter)
        return int(counter["value"])

    def close(self) -> None:
        """Close the file; the documents stay readable."""
        with self.lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _must_be_changing(self) -> None:
        if self._depth == 0:
            raise RuntimeError("a document was written outside state.change(): it would be lost; wrap the call")

    def _index(self, kind: str, key: str, doc: Doc) -> None:
        if kind == "order" and key not in self.tables["order"]:
            self.orders_of.setdefault(doc["user_id"], []).append(key)
        if kind == "item":
            if key not in self.tables["item"]:
                self.items_of.setdefault(doc["user_id"], []).append(key)
            self._index_skus(key, doc)

    def _index_skus(self, key: str, doc: Doc) -> None:
        skus = frozenset(sku for sku in [doc["seller_sku"], *(v["seller_sku"] for v in doc["variations"])] if sku)
        before = self._skus_of.get(key, frozenset())
        if skus == before:
            return
        for sku in before - skus:
            self.items_by_sku[doc["user_id"], sku].pop(key, None)
        for sku in skus - before:
            self.items_by_sku.setdefault((doc["user_id"], sku), {})[key] = None
        self._skus_of[key] = skus

    def _flush(self) -> None:
        if self._file is None:
            self._dirty.clear()
        if self._file is None or not self._dirty:
            return
        kept = []
        gone = []
        for kind, key in self._dirty:
            doc = self.tables[kind].get(key)
            if doc is None:
                gone.append((kind, key))
            else:
                kept.append((kind, key, json.dumps(doc, ensure_ascii=False, separators=(",", ":"))))
        with self._file:
            self._file.execute("BEGIN")
            self._file.executemany(
                "INSERT INTO docs (kind, key, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                kept,
            )
            self._file.executemany("DELETE FROM docs WHERE kind = ? AND key = ?", gone)
        self._dirty.clear()


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    # A sandbox that was just killed may still be letting go of the file.
    file.execute("PRAGMA busy_timeout = 500")
    # One sandbox at a time: two would each keep their own memory and overwrite the other's documents.
    file.execute("PRAGMA locking_mode = EXCLUSIVE")
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = OFF")
    file.execute(
        "CREATE TABLE IF NOT EXISTS docs (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (kind, key))"
    )
    return file
