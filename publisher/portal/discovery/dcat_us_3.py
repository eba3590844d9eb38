"""The catalog as DCAT-US 3.0 in JSON-LD, with a dataset series for each recurring publication.

Forms are chosen that fit both the schema files of the standard's first repository and those of its present one
(GSA/dcat-us), where there is such a form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.portal.answers.access import base_url, findable
from publisher.portal.api.views import iso
from publisher.portal.contract import about, email_of
from publisher.portal.discovery.dcat import EVERY, covered, description_at, present
from publisher.portal.discovery.families import families
from publisher.portal.discovery.titles import placed
from publisher.portal.downloads.downloads import standing

if TYPE_CHECKING:
    from datetime import date

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import CoverageFacts
    from publisher.portal.discovery.families import Family
    from publisher.portal.downloads.downloads import Offer

CONTEXT = "https://raw.githubusercontent.com/DOI-DO/dcat-us/main/context/dcat-us-3.0.jsonld"
PUBLIC = "http://publications.europa.eu/resource/authority/access-right/PUBLIC"
SHA256 = "http://spdx.org/rdf/terms#checksumAlgorithm_sha256"


def catalog(request: Request) -> Response:
    """GET /dcat-us-3.json: the open datasets, and the series that they belong to."""
    base = base_url(request)
    open_ones = [dataset for dataset in findable(request) if dataset.open]
    publishers = sorted({dataset.publisher for dataset in open_ones})
    site = publishers[0] if len(publishers) == 1 else urlsplit(base).netloc
    recurring = [family for family in families(open_ones) if _covered(family)]
    series = {each.dataset.id: family for family in recurring for each in family.members}
    return JSONResponse(
        {
            "@context": CONTEXT,
            "@id": f"{base}/dcat-us-3.json",
            "@type": "Catalog",
            "title": f"Open data of {site}",
            "description": f"The open datasets published at {base}",
            "publisher": _organization(site),
            "conformsTo": {"@type": "Standard", "@id": "https://resources.data.gov/resources/dcat-us3/"},
            "dataset": [_dataset(request, base, each, series.get(each.id)) for each in open_ones],
            "datasetSeries": [_series(base, family) for family in recurring],
        },
        media_type="application/ld+json",
    )


def _covered(family: Family) -> tuple[date, date, str] | None:
    """The first and last day of its releases, and the length of their period; None if it is published once."""
    spans = [when for each in family.members if (when := covered(each.dataset))]
    return (min(each[0] for each in spans), max(each[1] for each in spans), spans[0][2]) if spans else None


def _named(base: str, family: Family) -> dict[str, Any]:
    """What says which series it is: its address is that of the page with its releases."""
    main = family.main.dataset
    return {
        "@id": f"{base}/d/{main.id}/releases",
        "@type": "DatasetSeries",
        "title": placed(main),
        "description": main.description or main.name,
    }


def _series(base: str, family: Family) -> dict[str, Any]:
    """A recurring publication; its members are the tables that come out together."""
    main, when, known = family.main.dataset, _covered(family), family.main.about
    members = [each.dataset for each in family.members]
    return present(
        {
            **_named(base, family),
            "publisher": _organization(main.publisher),
            "contactPoint": [_contact(main)],
            "issued": iso(min(each.published_at or each.created_at for each in members)),
            "modified": iso(max(each.changed_at for each in members)),
            "accrualPeriodicity": EVERY[when[2]][1] if when else None,
            "temporal": [_period_of_time(when)] if when else [],
            "spatial": [_location(known.coverage)] if known.coverage else [],
            "seriesMember": [f"{base}/d/{each.id}" for each in members],
        }
    )


def _dataset(request: Request, base: str, dataset: PortalDataset, series: Family | None) -> dict[str, Any]:
    page, when, known = f"{base}/d/{dataset.id}", covered(dataset), about(dataset)
    source = f"Based on {known.source.title}. {known.source.purpose}".strip() if known.source else ""
    statements = [text for text in (source, known.guarantee) if text]
    return present(
        {
            "@id": page,
            "@type": "Dataset",
            "identifier": [page],
            "title": placed(dataset),
            "description": dataset.description or dataset.name,
            "keyword": [tag for tag in dataset.tags if tag],
            "theme": [_theme(base, dataset.category)] if dataset.category else [],
            "landingPage": {"@type": "Document", "@id": page, "title": placed(dataset)},
            "issued": iso(dataset.published_at or dataset.created_at),
            "modified": iso(dataset.changed_at),
            "version": str(dataset.version),
            "publisher": _organization(dataset.publisher),
            "contactPoint": [_contact(dataset)],
            "accessRights": PUBLIC,
            "license": known.license_address,
            "temporal": [_period_of_time(when)] if when else [],
            "spatial": [_location(known.coverage)] if known.coverage else [],
            "accrualPeriodicity": EVERY[when[2]][1] if when else None,
            "inSeries": [_named(base, series)] if series else [],
            "provenance": [{"@type": "ProvenanceStatement", "label": text} for text in statements],
            "scopeNote": " ".join(known.limitations),
            "describedBy": {
                "@type": "Distribution",
                "downloadURL": description_at(base, dataset),
                "mediaType": "application/json",
            },
            "distribution": [_distribution(offer, known.license_address) for offer in standing(request, dataset)],
        }
    )


def _organization(name: str) -> dict[str, str]:
    return {"@type": "Organization", "name": name, "prefLabel": name}


def _contact(dataset: PortalDataset) -> dict[str, str]:
    return {"@type": "Kind", "fn": dataset.publisher, "hasEmail": f"mailto:{email_of(dataset)}"}


def _theme(base: str, category: str) -> dict[str, Any]:
    scheme = {
        "@type": "ConceptScheme",
        "@id": f"{base}/api/catalog/v1/categories",
        "title": "Categories",
    }
    return {"@type": "Concept", "prefLabel": category, "inScheme": scheme}


def _period_of_time(when: tuple[date, date, str]) -> dict[str, str]:
    return {"@type": "PeriodOfTime", "startDate": when[0].isoformat(), "endDate": when[1].isoformat()}


def _location(area: CoverageFacts) -> dict[str, Any]:
    identifier = {"@type": "Identifier", "notation": area.id, "schemaAgency": area.standard}
    return {"@type": "Location", "prefLabel": area.name, "otherIdentifier": [identifier]}


def _distribution(offer: Offer, license: str) -> dict[str, Any]:
    """The downloads, with size and checksum if the file already exists."""
    checksum = {"@type": "Checksum", "algorithm": SHA256, "checksumValue": offer.sha256}
    return present(
        {
            "@type": "Distribution",
            "title": offer.label,
            "description": offer.description,
            "downloadURL": offer.url,
            "mediaType": offer.media_type,
            "license": license,
            "byteSize": str(offer.bytes) if offer.bytes is not None else None,
            "checksum": checksum if offer.sha256 else None,
        }
    )


ROUTES = [Route("/dcat-us-3.json", catalog)]
