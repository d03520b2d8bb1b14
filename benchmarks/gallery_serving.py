"""`passerby serve` under load: 20 clients at once for a minute, searching, reading and adding.

    python benchmarks/gallery_serving.py [--model MODEL] [--rows 100000]

Draws toy pedestrians, serves a gallery of them, and of as many made-up rows as are asked for, from
a process of its own, whose limits on requests are lifted, and counts what every client was
answered; at the end every row that was acknowledged has to be there.
"""

import argparse
import asyncio
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from gallery_made_up import add, embeddings
from gallery_page import keep
from passerby.datasets.finding import find_crops
from passerby.gallery import Gallery
from passerby.gallery.known_hashes import KnownHashes
from passerby.gallery.store import Store
from passerby.inference import RuntimeModel
from passerby.toy import write_toy

CLIENTS, SECONDS = 20, 60
PERSONS = 100
MIX = {"search by photo": 4, "search by description": 3, "read": 2, "add": 1}
"""Operations and how often each is drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--rows", type=int, default=0, help="at least so many")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(options.child)
        return
    with tempfile.TemporaryDirectory(prefix="gallery-") as place:
        found = measured(Path(place), options.model, options.seconds, options.rows)
    machine = f"{os.cpu_count()}-core {platform.machine()} CPU"
    keep(f"serving-{found['rows']}", {**found, "machine": machine}, options.out)
    print(found)


def serve(where: Path) -> None:
    from passerby.server.app import create_app
    from passerby.server.limits import Limits
    from passerby.server.running import listen, run

    sock = listen("127.0.0.1", 0)
    print(sock.getsockname()[1], flush=True)
    limits = Limits(requests_per_second=1e6, burst=10**6)
    gallery = Gallery.open(where)
    gallery.load()
    # as `passerby serve` does
    assert gallery.model
    run(create_app(gallery, limits=limits), sock)


def measured(place: Path, model: str | None, seconds: float, least: int) -> dict[str, Any]:
    write_toy(place / "toy", PERSONS, seed=3, crops_per_person=10)
    source = None if model is None else str(Path(model).resolve())
    gallery = Gallery.create(place / "gallery", RuntimeModel.load(model), model_source=source)
    gallery.add(find_crops([place / "toy" / "train"]))
    store = Store.open(gallery.where)
    for batch in embeddings(least - len(gallery), store.settings.embedding_size):
        add(store, batch, len(gallery))
    with store.committing():
        store.clean_up()
    rows = len(gallery)
    new = sorted((place / "toy" / "test").iterdir())
    asked = sorted((place / "toy" / "queries").iterdir())
    command = [sys.executable, __file__, "--child", str(place / "gallery")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        load = Load(address, asked, new, seconds)
        asyncio.run(load.run())
    finally:
        server.terminate()
        server.wait()
    present = KnownHashes.of(gallery._store).among(sorted(load.acknowledged))
    return {
        "clients": CLIENTS,
        "seconds": round(seconds),
        "rows": rows,
        "added": len(load.acknowledged),
        "lost": len(load.acknowledged - present),
        "errors": load.errors,
        "requests": sum(map(len, load.times.values())),
        "operations": {
            name: {
                "requests": len(times),
                "p50_ms": round(statistics.median(times)),
                "p99_ms": round(statistics.quantiles(times, n=100)[98]),
            }
            for name, times in sorted(load.times.items())
            if len(times) > 1
        },
    }


class Load:
    """Clients that ask one thing after the other, without a pause."""

    def __init__(self, address: str, asked: list[Path], new: list[Path], seconds: float) -> None:
        self.address = address
        self.asked = asked
        self.new = new
        self.until = time.monotonic() + seconds
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors = 0
        self.acknowledged: set[str] = set()

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            await asyncio.gather(*(self.one(client, number) for number in range(CLIENTS)))

    async def one(self, client: httpx.AsyncClient, number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < self.until:
            (name,) = chance.choices(list(MIX), list(MIX.values()))
            started = time.perf_counter()
            try:
                response = await self.request(client, name, chance)
            except httpx.HTTPError:
                self.errors += 1
                continue
            self.times[name].append((time.perf_counter() - started) * 1e3)
            if response.status_code != 200:
                self.errors += 1
            elif name == "add":
                self.acknowledged |= set(response.json()["hashes"])

    async def request(
        self, client: httpx.AsyncClient, name: str, chance: random.Random
    ) -> httpx.Response:
        if name == "read":
            return await client.get("/api/info")
        if name == "search by description":
            colour = chance.choice(("upred", "upblue", "backpack", "gender", "hat"))
            where = f"{colour} >= 0.1 and camera in (1, {chance.randint(2, 6)})"
            return await client.post("/api/search", data={"where": where, "top_k": "20"})
        path = chance.choice(self.new if name == "add" else self.asked)
        content = path.read_bytes()
        if name == "add":
            # bytes after the end of the image: the same crop is new each time
            content += chance.randbytes(8)
            files = {"images": (path.name, content, "image/jpeg")}
            return await client.post("/api/add", files=files, data={"camera": "7"})
        files = {"images": (path.name, content, "image/jpeg")}
        return await client.post("/api/search", files=files, data={"top_k": "20"})


if __name__ == "__main__":
    main()
