"""Zooming and touching: a view never gets lost, and a finger that scrolls changes nothing."""

import pytest

import ravine
from browsing import Opener, visit

__all__ = ["visit"]  # a fixture


@pytest.fixture(scope="module")
def bowl() -> str:
    """Return the blog post's bowl."""
    return ravine.page("x^2 + 50y^2", ["classical:lr=0.01,mu=0.9"], (180, 90)).html


VIEW = "JSON.stringify(ravine.state.view)"


def middle(page: object, selector: str) -> tuple[float, float]:
    """Return the middle of an element, in pixels."""
    box = page.locator(selector).bounding_box()  # type: ignore[attr-defined]
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def swipe_up(page: object, x: float, y: float, steps: int) -> None:
    """Put a finger down at (x, y) pixels, move it up by 15 pixels so many times, and lift it."""
    session = page.page.context.new_cdp_session(page.page)  # type: ignore[attr-defined]
    path = [("touchStart", 0), *(("touchMove", k) for k in range(1, steps + 1))]
    for kind, k in path:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y - 15 * k}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("way", [-600, 600])
def test_a_view_never_gets_lost(bowl: str, visit: Opener, way: int) -> None:
    """However far the wheel zooms in or out, the terrain stays drawn, without a view the first comes back, all is quiet."""
    page = visit(bowl)
    page.page.mouse.move(*middle(page, "#terrain"))
    for _ in range(40):
        page.page.mouse.wheel(0, way)
    page.wait_for_function("ravine.state.view !== null")
    low, high = page.state["view"][0]
    assert 0 < high - low < 1e13
    page.evaluate("ravine.change({view: null})")
    handle = page.get_by_role("slider", name="start", exact=True)
    page.wait_for_timeout(100)
    assert "handle-outside" not in handle.get_attribute("class")
    page.quiet()


def test_the_wheel_zooms_under_the_handle(bowl: str, visit: Opener) -> None:
    """With the pointer on the start the wheel zooms what lies below."""
    page = visit(bowl)
    box = page.get_by_role("slider", name="start", exact=True).bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.mouse.wheel(0, -100)
    page.wait_for_function("ravine.state.view !== null")
    page.quiet()


def test_a_finger_scrolls_and_taps(bowl: str, visit: Opener) -> None:
    """On a phone a swipe over the map leaves lr and mu alone; a tap sets them."""
    page = visit(bowl, width=390, height=844, has_touch=True, is_mobile=True)
    page.locator("#map .plot-pad").scroll_into_view_if_needed()
    box = page.locator("#map .plot-pad").bounding_box()
    x, y = box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"]
    before = page.state["runs"][0]["settings"]

    swipe_up(page, x, y, 7)
    page.wait_for_timeout(800)  # until the page has come to rest, or the tap would only stop it
    assert page.state["runs"][0]["settings"] == before
    box = page.locator("#map .plot-pad").bounding_box()
    page.page.touchscreen.tap(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
    page.wait_for_function("before => ravine.state.runs[0].settings.lr !== before", arg=before["lr"])
    page.quiet()


def test_a_finger_on_the_terrain_scrolls_the_page(bowl: str, visit: Opener) -> None:
    """On a phone a swipe up over the terrain scrolls the page, and the terrain shows what it showed before."""
    page = visit(bowl, width=390, height=844, has_touch=True, is_mobile=True)
    x, y = middle(page, "#terrain")

    swipe_up(page, x, y, 10)
    page.wait_for_function("scrollY > 50")
    page.wait_for_timeout(500)  # longer than a view takes to be told
    assert page.state["view"] is None
    page.quiet()


def test_what_is_said_over_a_picture_is_never_cut(visit: Opener) -> None:
    """The sentence about a path that diverged lies within its frame on a desktop and on a phone."""
    html = ravine.page("monkey_saddle", ["classical:lr=0.01,mu=0.9"]).html
    for width in (1280, 390):
        page = visit(html, width=width)
        said, head = page.locator("#terrain .plot-remark"), page.locator("#terrain .plot-head").bounding_box()
        assert "diverged" in said.inner_text()
        box = said.bounding_box()
        assert head["y"] <= box["y"]
        assert box["y"] + box["height"] <= head["y"] + head["height"]


def test_the_tools_speak_the_pages_language(visit: Opener) -> None:
    """The tools beside the terrain are named in Chinese on a Chinese page."""
    page = visit(ravine.page("x^2 + 50y^2", ["classical:lr=0.01,mu=0.9"], (180, 90), lang="zh").html)
    titles = """() => {
        const found = [], look = (root) => root.querySelectorAll("*").forEach((element) => {
            if (/Button/.test(element.className) && element.title) found.push(element.title);
            if (element.shadowRoot) look(element.shadowRoot);
        });
        look(document.querySelector("#terrain"));
        return found;
    }"""
    assert page.evaluate(titles) == ["平移", "框选缩放", "滚轮缩放", "恢复视图"]


def test_no_legend_for_lines_that_are_not_drawn(bowl: str, visit: Opener) -> None:
    """The dashed line of the predicted rate stands in the legend only while there is one."""
    page = visit(bowl)
    legend = page.locator("#curves .plot-legend li")
    assert legend.count() == 1
    page.evaluate("ravine.set('lr', ['ramp', 0.005, 0.01, 0.0001])")
    page.wait_for_function("document.querySelectorAll('#curves .plot-legend li').length === 0")
