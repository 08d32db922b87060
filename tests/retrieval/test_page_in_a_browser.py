"""The page of `explore` in a real browser: chromium, without a GPU and without a network."""

import csv
import time

import numpy as np
import pytest
import soundfile

from benchmarks.browsers import browser, why_none
from semisupcon.__main__ import main
from tests.retrieval.pages import read_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_none()), reason=why_none() or "there is a browser"),
]
HOSTILE = 'x/</script><script>document.title="run"</script><img src=x onerror=document.title="run">'


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two pages of 60 clips, three of them audio: with the files beside, and with previews."""
    folder = tmp_path_factory.mktemp("site")
    rng = np.random.default_rng(0)
    group = np.arange(60) % 3
    names = [f"in/{'abc'[g]} ü#%/{i:02d}.wav" for i, g in enumerate(group)]
    names[50:] = [*(f"in/=SUM{i}.wav" for i in range(50, 58)), HOSTILE, 'in/comma, "quoted".wav']
    for i in range(3):
        (folder / names[i]).parent.mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 8000)
        soundfile.write(folder / names[i], tone, 8000)
    np.save(folder / "e.npy", (np.eye(8)[group] + 0.1 * rng.standard_normal((60, 8))).astype("f4"))
    for name, header, values in (
        ("e", "second", [0] * 60),
        ("labels", "label", ["<b>x", "y", "z"] * 20),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", header), *zip(names, values, strict=True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["explore", "e.npy", "--labels", "labels.csv", "--method", "pca", "--clusters", "3"]
        assert main([*words, "--out", "map.html"]) == 0
        assert main([*words, "--out", "heard.html", "--previews", "1"]) == 0
    return folder


@pytest.fixture
def opened(chromium, site):
    """Open a page; a script error or a request that leaves the folder fails the test."""
    contexts, wrong = [], []

    def run(name="map.html", size=(1200, 800), scheme="light"):
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request",
            lambda r: r.url.startswith((site.as_uri(), "blob:", "data:")) or wrong.append(r.url),
        )
        page.goto((site / name).as_uri())
        page.wait_for_selector("html[data-ready]", timeout=20_000)
        return page

    yield run
    for context in contexts:
        context.close()
    assert not wrong


def until(page, condition):
    """Wait until an expression is true; the page's policy forbids playwright's own way."""
    end = time.monotonic() + 15
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def place(page, site, number):
    """Where a clip lies in the window, by the data of the page."""
    _, arrays, _ = read_page(site / "map.html")
    box = page.locator("#marks").bounding_box()
    x, y = arrays["x"][number] / 65535 - 0.5, 0.5 - arrays["y"][number] / 65535
    size = 0.92 * min(box["width"], box["height"])
    return box["x"] + box["width"] / 2 + x * size, box["y"] + box["height"] / 2 + y * size


@pytest.mark.parametrize("name", ["map.html", "heard.html"])
def test_a_click_plays_a_clip_and_lists_its_neighbours(opened, site, name):
    page = opened(name)
    page.mouse.click(*place(page, site, 1))
    header, arrays, _ = read_page(site / name)
    assert page.inner_text("#name") == header["folder"] + header["names"][1] == "in/b ü#%/01.wav"
    near = [header["names"][i] for i in arrays["neighbours"].reshape(-1, 60)[:, 1]]
    assert [t.inner_text() for t in page.locator("#nearest .t").all()] == near
    assert "labels: y" in page.inner_text("#facts")
    until(page, "document.getElementById('audio').currentTime > 0.2")
    length = page.evaluate("document.getElementById('audio').duration")
    assert length == pytest.approx(2 if name == "map.html" else 1, abs=0.15)
    assert page.inner_text("#trouble") == ""
    page.locator("#nearest button").first.click()
    assert page.inner_text("#name") == header["folder"] + near[0]


def test_a_clip_that_is_not_there_is_told(opened, site):
    page = opened()
    page.mouse.click(*place(page, site, 20))
    until(page, "document.getElementById('trouble').textContent.includes('cannot be played')")


def test_the_lasso_gives_names_as_csv(opened, site):
    page = opened()
    page.keyboard.press("l")
    box = page.locator("#marks").bounding_box()
    corners = [(0.01, 0.99), (0.99, 0.99), (0.99, 0.01), (0.01, 0.01)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in [*at[1:], at[0]]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()
    assert page.inner_text("#count") == "60 clips selected"
    with page.expect_download() as download:
        page.click("#save")
    with open(download.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    header, _, _ = read_page(site / "map.html")
    names = [header["folder"] + name for name in header["names"]]
    assert [row["file"] for row in rows] == names
    assert {row["labels"] for row in rows} == {"<b>x", "y", "z"}
    page.keyboard.press("Escape")
    assert page.locator("#chosen").is_hidden()


def test_search_by_name(opened):
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("=sum5 wav")
    assert page.inner_text("#found") == "8 clips"
    page.keyboard.press("Enter")
    assert page.inner_text("#name") == "in/=SUM50.wav"
    page.fill("#query", "onerror")
    page.locator("#results button").click()
    assert page.inner_text("#name") == HOSTILE
    assert page.title() == "map"
    assert page.locator("aside img").count() == 0


def test_keys_walk_through_neighbours_and_zoom(opened, site):
    page = opened()
    header, arrays, _ = read_page(site / "map.html")
    page.mouse.click(*place(page, site, 4))
    second = arrays["neighbours"].reshape(-1, 60)[1, 4]
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text("#name") == header["folder"] + header["names"][second]
    before = page.locator("#points").screenshot()
    page.keyboard.press("+")
    page.wait_for_timeout(100)
    assert page.locator("#points").screenshot() != before
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert page.locator("#points").screenshot() == before


def test_colours_and_the_legend(opened):
    page = opened()
    assert [t.inner_text() for t in page.locator("#legend .t").all()] == ["<b>x", "y", "z"]
    before = page.locator("#points").screenshot()
    page.locator("#legend button").first.click()
    page.wait_for_timeout(100)
    faded = page.locator("#points").screenshot()
    page.select_option("#by", label="cluster")
    page.wait_for_timeout(100)
    assert page.locator("#legend .t").first.inner_text() == "cluster 1"
    assert len({before, faded, page.locator("#points").screenshot()}) == 3


@pytest.mark.parametrize("size", [(1200, 800), (420, 800), (320, 500)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_screens_and_follows_the_colour_scheme(opened, site, size, scheme):
    page = opened(size=size, scheme=scheme)
    page.mouse.click(*place(page, site, 1))
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (scheme == "dark")
    corner = page.evaluate(
        "[...document.getElementById('points').getContext('2d').getImageData(1, 1, 1, 1).data]"
    )
    assert (corner[0] < 50) == dark


def test_a_damaged_page_says_so(chromium, site):
    text = (site / "map.html").read_text()
    at = text.index('id="data">') + 60
    (site / "damaged.html").write_text(text[:at] + "AAAA" + text[at + 4 :])
    page = chromium.new_page()
    page.goto((site / "damaged.html").as_uri())
    until(page, "document.getElementById('about').textContent.includes('damaged')")
