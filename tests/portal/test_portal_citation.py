"""Citations as text and BibTeX: the day of the release, and an address that lasts."""

from __future__ import annotations

from dataclasses import replace

from portal_described import said
from portal_process import blank

from publisher.portal.contract import about
from publisher.portal.pages.citation import citation

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


def test_bibtex_keeps_every_character() -> None:
    """What TeX would read as a command or a comment is written so that it shows; names stay in one piece."""
    name = r"A & B_c: 50% of {x} #1 $2 ~ ^ \end"
    found = citation(BASE, replace(blank("abcd-1234"), name=name, attribution="Smith and Jones"))
    escaped = r"A \& B\_c: 50\% of \{x\} \#1 \$2 \textasciitilde{} \textasciicircum{} \textbackslash{}end"
    assert f"  title = {{{{{escaped}}}}}," in found.bibtex
    assert "  author = {{Smith and Jones}}," in found.bibtex
    assert found.bibtex.count("{") - found.bibtex.count(r"\{") == found.bibtex.count("}") - found.bibtex.count(r"\}")
