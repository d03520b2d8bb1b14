"""Processes that write, erase and search the same gallery, for a minute."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import made_up_rows
import numpy as np
import pytest
from made_up_rows import hash_of

from passerby.gallery import Gallery
from passerby.inference import RuntimeModel

pytestmark = [pytest.mark.alone, pytest.mark.slow]

SECONDS = 60
ROWS = 20
"""That are added together, by their numbers, and erased together."""

# each tells what it did, with the clock that all processes of a machine share
BEGIN = """
import json, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from made_up_rows import add, hash_of
from passerby.gallery import Gallery
from passerby.gallery.memory import VectorMemory
from passerby.gallery.store import Store
from passerby.gallery.table_schema import hash_filter
where, own, seconds, rows = sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
logs = Path(where).parent
end = time.monotonic() + seconds
def tell(**what):
    with (logs / f"{sys.argv[6]}-{own}.log").open("a") as file:
        file.write(json.dumps(what) + "\\n")
def told(kind):
    found = []
    for path in sorted(logs.glob(f"{kind}-*.log")):
        # the last line may be half written
        found += [json.loads(line) for line in path.read_text().split("\\n")[:-1]]
    return found
generator = np.random.default_rng(own)
"""

WRITE = """
store = Store.open(where)
number = own * 1_000_000
while time.monotonic() < end:
    add(store, range(number, number + rows))
    tell(first=number, at=time.monotonic())
    number += rows
"""

FORGET = """
gallery = Gallery.open(where)
gone = set()
while time.monotonic() < end:
    firsts = [entry["first"] for entry in told("write") if entry["first"] not in gone]
    if len(firsts) < 10:
        time.sleep(0.1)
        continue
    first = int(generator.choice(firsts))
    gone.add(first)
    tell(first=first, begun=time.monotonic())
    hashes = [hash_of(n) for n in range(first, first + rows)]
    erased = gallery.erase(hash_filter(hashes))
    tell(first=first, at=time.monotonic(), erased=erased.rows)
    time.sleep(0.3)
"""

SEARCH = """
store = Store.open(where)
memory = VectorMemory(store, "half" if own == 2 else "single")
size = store.settings.embedding_size
while time.monotonic() < end:
    entries = told("write")
    if not entries:
        continue
    # the latest as often as any
    entry = entries[-1] if generator.random() < 0.5 else entries[generator.integers(len(entries))]
    number = entry["first"] + int(generator.integers(rows))
    vector = np.random.default_rng(number).standard_normal(size)
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    begun = time.monotonic()
    near = memory.top(vector[None], 50)[0]
    tell(number=number, begun=begun, at=time.monotonic(), found=list(near.hashes))
memory.close()
"""


def entries(folder: Path, kind: str) -> Iterator[dict]:
    for path in folder.glob(f"{kind}-*.log"):
        yield from map(json.loads, path.read_text().splitlines())


def test_nothing_erased_is_found_and_nothing_acknowledged_is_missed(
    model: RuntimeModel, tmp_path: Path
) -> None:
    where = tmp_path / "gallery"
    Gallery.create(where, model, images="paths")
    support = str(Path(made_up_rows.__file__).parent)
    work = [("write", WRITE, n) for n in range(2)] + [("forget", FORGET, 0)]
    work += [("search", SEARCH, n) for n in range(3)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN + program, support, str(where), str(n), str(SECONDS),
             str(ROWS), kind],
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind, program, n in work
    ]  # fmt: skip
    for process in running:
        _, complaint = process.communicate(timeout=SECONDS + 120)
        assert process.returncode == 0, complaint

    acknowledged = {entry["first"]: entry["at"] for entry in entries(tmp_path, "write")}
    begun = {e["first"]: e["begun"] for e in entries(tmp_path, "forget") if "begun" in e}
    erased = {e["first"]: e["at"] for e in entries(tmp_path, "forget") if "at" in e}
    assert all(e["erased"] == ROWS for e in entries(tmp_path, "forget") if "at" in e)
    first_of = {hash_of(n): first for first in acknowledged for n in range(first, first + ROWS)}
    searches = list(entries(tmp_path, "search"))
    expected = 0
    for search in searches:
        for value in search["found"]:
            # rows that were added, but not acknowledged yet, are nobody's
            gone = erased.get(first_of.get(value, -1), np.inf)
            assert gone > search["begun"], "an erased row was found"
        first = search["number"] // ROWS * ROWS
        if acknowledged[first] < search["begun"] and begun.get(first, np.inf) > search["at"]:
            expected += 1
            assert search["found"][0] == hash_of(search["number"]), "an acknowledged row was missed"
    assert len(acknowledged) > 50
    assert len(erased) > 10
    assert expected > 200
    gallery = Gallery.open(where)
    left = {hash_of(n) for first in acknowledged for n in range(first, first + ROWS)}
    left -= {hash_of(n) for first in erased for n in range(first, first + ROWS)}
    assert {row["hash"] for row in gallery.rows(limit=10**6)} == left
