"""The gallery: every claim of the blog post holds, and its page shows what was drawn."""

import re
from pathlib import Path

import pytest

from ravine.draw import gallery


@pytest.mark.parametrize("exhibit", gallery.EXHIBITS, ids=lambda e: e.__name__)
def test_every_claim_holds(exhibit: object, tmp_path: Path) -> None:
    """What the blog post claims is measured again and holds, and the pictures named are there."""
    shown = exhibit(tmp_path)  # type: ignore[operator]
    assert [claim for claim in shown.claims if not claim.holds] == []
    assert shown.claims
    assert {p.name for p in tmp_path.iterdir()} == set(shown.pictures)


def test_the_page_says_when_a_claim_fails() -> None:
    """A claim that does not hold is counted and marked."""
    claims = (gallery.Claim("water is dry", "dry", "wet", False), gallery.Claim("it is wet", "wet", "wet", True))
    page = gallery.page([gallery.Exhibit("Water", ("a.png",), "See.", claims)])
    assert "1 of 2 claims hold" in page
    assert "**no**" in page


def test_the_committed_page_is_the_one_that_is_made() -> None:
    """docs/gallery shows every exhibit and every claim holding."""
    page = (Path(__file__).parents[1] / "docs/gallery/README.md").read_text(encoding="utf-8")
    counts = re.search(r"(\d+) of (\d+) claims hold", page)
    assert counts
    assert counts[1] == counts[2]
    assert page.count("## ") == len(gallery.EXHIBITS)
