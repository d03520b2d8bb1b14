"""The pages as a person uses them, in Chromium."""

import json
import shutil
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn

from passerby.gallery import Gallery
from passerby.server import create_app
from passerby.server.running import listen

pytestmark = [pytest.mark.browser, pytest.mark.alone]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
]


@pytest.fixture
def address(gallery: Gallery) -> Iterator[str]:
    """Where a server runs."""
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(gallery), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator:
    """A fresh Chromium; at the end nothing may have gone wrong in it."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("Chromium or its driver is not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in [*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """What a person sees and does."""

    def __init__(self, driver, address: str) -> None:
        self.driver = driver
        driver.get(address)

    def all(self, css: str) -> list:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str):
        return self.driver.find_element("css selector", css)

    def wait(self, condition, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.one("body").text
            time.sleep(0.05)

    def script(self, text: str, *arguments):
        return self.driver.execute_script(text, *arguments)

    def hashes(self) -> list[str]:
        return [card.get_attribute("data-hash") for card in self.all("#cards > .card")]

    def count(self, state: str) -> int:
        return len(self.all(f"#cards > .card.{state}:not([hidden])"))

    def move_threshold(self, value: float) -> None:
        self.script(
            "const s = document.getElementById('threshold'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input', {bubbles: true}));",
            value,
        )

    def search(self) -> None:
        """Click and wait for another answer."""
        self.script("document.querySelector('#results > *').classList.add('old')")
        self.one("#search").click()
        self.wait(lambda: self.all("#cards > .card") and not self.all("#results > .old"))


@pytest.fixture
def photo(tmp_path: Path, crop_files: list[Path], as_png) -> Path:
    """A crop of the gallery in another file."""
    path = tmp_path / "photo.png"
    path.write_bytes(as_png(crop_files[4]))
    return path


def requested_hosts(driver) -> set[str]:
    found = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.add(urlsplit(message["params"]["request"]["url"]))
    return {url.netloc for url in found if url.scheme not in ("data", "blob", "chrome")}


def test_from_a_photo_to_an_erased_crop(
    browser, address: str, gallery: Gallery, photo: Path, crop_files: list[Path]
) -> None:
    before = len(gallery)
    page = Page(browser, address)
    page.one("#images").send_keys(str(photo))
    page.wait(lambda: len(page.all("#previews img")) == 1)
    page.search()
    right = gallery.filter_of(images=[crop_files[4]])
    assert page.hashes()[0] in right
    assert page.one("#cards .rank").text == "1"
    assert page.one("#cards .fact-person dd").text == crop_files[4].name[:4]
    assert page.one("#cards .picture img").get_attribute("alt").startswith("crop, camera ")

    # the line moves with the slider, without asking the server again
    distances = [float(c.get_attribute("data-distance")) for c in page.all("#cards > .card")]
    between = (distances[4] + distances[5]) / 2
    page.move_threshold(between)
    assert page.count("within") == 5
    assert page.count("beyond") == 12
    assert page.one("#count").text.startswith("5 answers within the threshold")
    line = page.script(
        "return [...document.getElementById('cards').children]"
        ".indexOf(document.getElementById('cut'))"
    )
    assert line == 5
    assert f"{between:.3f}" in page.one("#cut").text
    assert "same person" in page.one("#threshold-meaning").text
    page.one("#threshold-reset").click()
    assert not page.one("#threshold-reset").is_displayed()

    # attributes of a crop come when they are asked for
    page.one("#cards details.all summary").click()
    page.wait(lambda: len(page.all("#cards details.all meter")) == 32)

    # a ticked attribute narrows the answers
    page.one("input[name=is-backpack][value=no] + span").click()
    page.wait(lambda: "not backpack" in page.one("#described").text)
    page.search()
    fitting = gallery.to_sql(gallery.parse("not backpack"))
    own = gallery.count(f"{fitting} AND {right}")
    assert 0 < len(page.hashes()) == gallery.count(fitting) - own < before

    # erasing: select, confirm, gone
    gone = page.hashes()[0]
    page.script("scrollTo(0, 0)")
    page.one("#cards .select input").click()
    page.one("#erase-selected").click()
    page.wait(lambda: page.one("#dialog").is_displayed())
    assert "Erase 1 crop?" in page.one("#dialog").text
    page.one("#dialog input[name=reason]").send_keys("asked to")
    page.one("#dialog .danger").click()
    page.wait(lambda: "erased for good" in page.one("#message").text)
    assert not page.one("#dialog").is_displayed()
    assert gone not in page.hashes()
    assert len(gallery) == before - 1
    page.search()
    assert gone not in page.hashes()

    assert browser.get_log("browser") == []
    assert requested_hosts(browser) == {urlsplit(address).netloc}


def test_more_like_this_and_dropped_photos(browser, address: str, photo: Path) -> None:
    page = Page(browser, address)
    page.one("#images").send_keys(str(photo))
    page.search()
    value = page.hashes()[2]
    page.script("arguments[0].click()", page.all("#cards button[name=more_like]")[2])
    page.wait(lambda: page.all(f'#like input[value="{value}"]'))
    assert value not in page.hashes()
    # the photo has made way for the crop
    assert page.all("#previews img") == []
    # and a photo makes way for neither: it replaces the crop
    page.script(
        """
        const held = new DataTransfer();
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        held.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
        const event = new DragEvent("drop", {dataTransfer: held, bubbles: true, cancelable: true});
        document.getElementById("drop").dispatchEvent(event);
        """,
        b64encode(photo.read_bytes()).decode(),
    )
    page.wait(lambda: len(page.all("#previews img")) == 1)
    assert page.all("#like input") == []
    page.script("document.querySelector('#previews button').click()")
    assert page.all("#previews img") == []
    assert browser.get_log("browser") == []


def test_by_keyboard_and_on_a_phone(browser, address: str, photo: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    page = Page(browser, address)
    page.one("body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("class") == "skip"
    page.one("#images").send_keys(str(photo))
    page.one("#search").send_keys(Keys.ENTER)
    page.wait(lambda: page.all("#cards > .card"))
    slider = page.one("#threshold")
    slider.send_keys(Keys.HOME)
    assert page.count("within") <= 1
    for _ in range(60):
        slider.send_keys(Keys.ARROW_RIGHT)
    assert 1 < page.count("within") < 96
    slider.send_keys(Keys.END)
    assert page.count("within") == 96
    assert page.one("#count").text.startswith("96+ answers")
    for path in ("/", "/stored"):
        wide = page.script("return document.documentElement.scrollWidth")
        assert wide <= 360
        browser.get(address + path)
    assert browser.get_log("browser") == []
