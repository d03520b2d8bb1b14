"""`passerby serve` as a person starts it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from passerby.cli.serve import serve
from passerby.errors import InputError

pytestmark = pytest.mark.alone

START = "import typer; from passerby.cli.serve import serve; typer.run(serve)"


def started(*arguments: object, **environment: str) -> InputError:
    """Return why the command does not start."""
    app = typer.Typer()
    app.command()(serve)
    result = CliRunner().invoke(app, [str(part) for part in arguments], env=environment)
    assert isinstance(result.exception, InputError), result.output
    return result.exception


def test_other_addresses_need_a_token(filled_gallery: Path) -> None:
    assert "give --token (or PASSERBY_TOKEN)" in str(started(filled_gallery, "--host=0.0.0.0"))
    error = started(filled_gallery, "--host=0.0.0.0", PASSERBY_TOKEN="short")
    assert "16 or more letters" in str(error)


def test_no_gallery(tmp_path: Path) -> None:
    assert "is not a gallery of Passerby" in str(started(tmp_path / "nothing"))


def test_a_port_that_is_taken(filled_gallery: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = started(filled_gallery, f"--port={port}")
    assert f"Cannot listen on 127.0.0.1, port {port}" in str(error)


def test_an_address_of_another_machine(filled_gallery: Path) -> None:
    error = started(filled_gallery, "--host=192.0.2.1", "--token=0123456789abcdef")
    assert "Cannot listen on 192.0.2.1" in str(error)


def test_addresses_that_are_none(filled_gallery: Path) -> None:
    for host in ("a..b", "x" * 300):
        error = started(filled_gallery, f"--host={host}", "--token=0123456789abcdef")
        assert f"Cannot listen on {host}" in str(error)


def test_behind_a_proxy(filled_gallery: Path) -> None:
    token = "--token=0123456789abcdef"
    assert "give --token" in str(started(filled_gallery, "--proxy=127.0.0.1"))
    error = started(filled_gallery, "--proxy=nginx", token)
    assert "--proxy 'nginx' is not an address" in str(error)


@pytest.mark.parametrize(
    ("options", "client"), [(["--proxy=127.0.0.1"], "192.0.2.7"), ([], "127.0.0.1")]
)
def test_only_a_known_proxy_is_believed_who_asks(
    filled_gallery: Path, tmp_path: Path, options: list[str], client: str
) -> None:
    shutil.copytree(filled_gallery, tmp_path / "gallery")
    with serving(tmp_path / "gallery", "--token=0123456789abcdef", *options) as (address, _):
        headers = {"Authorization": "Bearer 0123456789abcdef", "X-Forwarded-For": "192.0.2.7"}
        answer = httpx.post(
            f"{address}/api/search", data={"where": "camera = 1"}, headers=headers, timeout=30
        )
        assert answer.status_code == 200
        log = httpx.get(f"{address}/api/audit", headers=headers, timeout=30).json()
        strange = {**headers, "X-Forwarded-For": "fe80::1%1"}
        assert httpx.get(f"{address}/api/info", headers=strange, timeout=30).status_code == 200
    assert (log[0]["operation"], log[0]["who"]) == ("search", client)


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the command on a free port; yield its address and the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, arguments), "--port=0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stderr is not None
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "it has stopped"
            found = re.search(r"Serving (http://127\.0\.0\.1:\d+)", line)
        yield found[1], process
    finally:
        timer.cancel()
        process.kill()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(filled_gallery: Path, stop: signal.Signals) -> None:
    with serving(filled_gallery) as (address, process):
        with urllib.request.urlopen(f"{address}/api/info", timeout=30) as answer:
            assert json.load(answer)["rows"] > 0
            assert answer.headers["server"] is None
        process.send_signal(stop)
        assert process.stderr is not None
        rest = process.stderr.read()
        process.wait(30)
        assert "Traceback" not in rest
