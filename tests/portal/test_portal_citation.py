"""Citations as text and BibTeX: the day of the release, and an address that lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import requests
from page_reading import loaded
from portal_described import publish_described, said
from portal_process import blank

from publisher.portal.contract import about
from publisher.portal.pages.citation import citation

if TYPE_CHECKING:
    from portal_process import Running

BASE = "https://data.example.gov"


def test_a_dataset_is_cited_as_of_its_newest_release() -> None:
    """The day on which a release was made counts, not that of the last push: a portal that is filled again says no
    other day. The address is the permanent link."""
    released = {"metadata": {"custom_fields": {"Publisher": said()}}, "rows_updated_at": 1_900_000_000}
    dataset = replace(blank("abcd-1234"), name="Requests", attribution="City of Example", license_id="CC_40_BY")
    found = citation(BASE, replace(dataset, **released))
    assert found.released == "2024-03-21"
    license = "Creative Commons Attribution 4.0 International"
    assert found.text.startswith(f"City of Example (2024). Requests. 2024-03-21. {BASE}/d/abcd-1234. {license}")
    assert citation(BASE, replace(dataset, rows_updated_at=0)).released == "1970-01-01"


def test_a_release_has_a_citation_of_its_own() -> None:
    """Period and edition are in title, key and address."""
    dataset = replace(blank("abcd-1234"), name="Requests", metadata={"custom_fields": {"Publisher": said()}})
    edition = about(dataset).releases[1]
    found = citation(BASE, dataset, edition)
    assert found.address == f"{BASE}/d/abcd-1234/releases/2024-02/2"
    assert found.bibtex.splitlines()[0] == "@misc{abcd-1234-2024-02-2,"
    assert "title = {{Requests, 2024-02, edition 2}}," in found.bibtex


def test_a_bibliography_is_a_file(portal: Running) -> None:
    """Of the dataset and of each release, linked from their pages; what is not there is 404."""
    identifier = publish_described(portal, "Requests to cite")
    for path in (f"/d/{identifier}", f"/d/{identifier}/releases/2024-02/2"):
        linked = [link["href"] for link in loaded(portal, path).all("a") if (link["href"] or "").endswith(".bib")]
        assert linked == [f"{portal.address}{path}/citation.bib"]
        answer = requests.get(linked[0], timeout=60)
        assert answer.headers["content-type"].startswith("application/x-bibtex")
        assert answer.text.startswith("@misc{")
        assert f"{portal.address}{path}}}" in answer.text
    loaded(portal, f"/d/{identifier}/releases/2024-02/9/citation.bib", 404)


def test_bibtex_keeps_every_character() -> None:
    """What TeX would read as a command or a comment is written so that it shows; names stay in one piece."""
    name = r"A & B_c: 50% of {x} #1 $2 ~ ^ \end"
    found = citation(BASE, replace(blank("abcd-1234"), name=name, attribution="Smith and Jones"))
    escaped = r"A \& B\_c: 50\% of \{x\} \#1 \$2 \textasciitilde{} \textasciicircum{} \textbackslash{}end"
    assert f"  title = {{{{{escaped}}}}}," in found.bibtex
    assert "  author = {{Smith and Jones}}," in found.bibtex
    assert found.bibtex.count("{") - found.bibtex.count(r"\{") == found.bibtex.count("}") - found.bibtex.count(r"\}")
