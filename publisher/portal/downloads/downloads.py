"""Whole datasets as CSV, Parquet, Excel, GeoJSON, KML, KMZ, and Shapefile; each file is made once, with its hash."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import anyio.to_thread
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from publisher.portal.answers import formats
from publisher.portal.answers.access import base_url, portal, readable, tabular
from publisher.portal.answers.access import sources as sources_of
from publisher.portal.answers.freshness import headers_of, unchanged
from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import SodaError, problem
from publisher.portal.contract import about
from publisher.portal.downloads.shapes import (
    Districts,
    LocatedPlaces,
    Places,
    boundaries,
    write_geojson,
    write_kml,
    write_kmz,
    write_shapefile,
)
from publisher.portal.downloads.tables import write_parquet, write_workbook
from publisher.portal.soql.compiler import SoqlQuestion, compile_question
from publisher.portal.store.file_cache import FileCache, Kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from publisher.portal.answers.formats import Format
    from publisher.portal.base.model import PortalDataset

AT_ONCE = 20_000
"""For datasets with at most this many rows, a listing waits until all files are made; others are made later."""
AHEAD = 200_000
"""For datasets with at most this many rows, a visit to the page has the files made before anyone asks for them."""
WAIT = 45.0
"""How many seconds a client waits for a file; after that it is still made."""
MOST_MADE = 32
"""The most files that wait to be made in one process."""
GEOJSON = "application/vnd.geo+json"
UNBIASED = (
    "Every cell's number as it was drawn, with the noise: of suppressed cells too, not cut at zero, not made to add "
    "up. Sums over many cells are right on average."
)
ABOUT = "The columns of the unbiased measurements, their units, and the distribution and scale of their noise."


@dataclass(frozen=True, slots=True)
class Form:
    """A file format: its name in addresses, its label for people, its media type, and how it is written."""

    name: str
    label: str
    media_type: str
    write: Callable[[Request, PortalDataset, Path], None]
    extension: str = ""
    mapped: bool = False
    """True if the rows need geometry or boundaries."""

    @property
    def ending(self) -> str:
        """The file name's extension."""
        return self.extension or self.name


@dataclass(frozen=True, slots=True)
class Offer:
    """A download in the list; bytes and hash are None until the file is made."""

    format: str
    label: str
    media_type: str
    url: str
    bytes: int | None = None
    sha256: str | None = None
    description: str = ""
    """What it shows, if it is not the dataset's rows."""


def write_csv(question: SoqlQuestion, request: Request, dataset: PortalDataset, target: Path) -> None:
    """Write the result of a query, with field names."""
    _write(formats.CSV, question, request, dataset, target)


def _write(form: Format, question: SoqlQuestion, request: Request, dataset: PortalDataset, target: Path) -> None:
    compiled = compile_question(dataset, question)
    blocks = portal(request).engine.blocks(sources_of(request, dataset, compiled), compiled, form.each(compiled.fields))
    with target.open("wb") as file:
        file.writelines(form.body(form.opening(compiled.fields), blocks))


def _write_geojson(request: Request, dataset: PortalDataset, target: Path) -> None:
    """Write the rows as /resource does; without places, write the rows of one period with their boundaries."""
    if dataset.place:
        _write(formats.GEOJSON, SoqlQuestion(limit=None), request, dataset, target)
    else:
        write_geojson(_places(request, dataset), target)


def _table(
    write: Callable[[tuple[Path, ...], PortalDataset, str, Path], None],
) -> Callable[[Request, PortalDataset, Path], None]:
    """A table writer; a file is kept for everyone, so it has the configured address, never the one of the request."""
    return lambda request, dataset, target: write(
        portal(request).store.rows(dataset), dataset, portal(request).public_url or "", target
    )


def _map(write: Callable[[Places, Path], None]) -> Callable[[Request, PortalDataset, Path], None]:
    return lambda request, dataset, target: write(_places(request, dataset), target)


EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = Form("csv", "CSV", "text/csv", partial(write_csv, SoqlQuestion(limit=None)))
FORMS = (
    Form("parquet", "Parquet", "application/vnd.apache.parquet", _table(write_parquet)),
    Form("xlsx", "Excel", EXCEL, _table(write_workbook)),
    Form("geojson", "GeoJSON", GEOJSON, _write_geojson, mapped=True),
    Form("kml", "KML", "application/vnd.google-earth.kml+xml", _map(write_kml), mapped=True),
    Form("kmz", "KMZ", "application/vnd.google-earth.kmz", _map(write_kmz), mapped=True),
    Form("shp", "Shapefile", "application/zip", _map(write_shapefile), "zip", mapped=True),
)
_BY_NAME = {form.name: form for form in FORMS}
_EXPORTS = {"shapefile": "shp", "shp": "shp", "kml": "kml", "kmz": "kmz", "geojson": "geojson", "csv": "csv"}


def _places(request: Request, dataset: PortalDataset) -> Places:
    """The rows as places on a map. Raises SodaError 404."""
    files = portal(request).store.rows(dataset)
    if dataset.place:
        return (
            LocatedPlaces(files, dataset, dataset.place)
            if dataset.place.kind is Kind.LOCATION
            else Places(files, dataset)
        )
    known = about(dataset)
    store = portal(request).store
    asset = store.assets.attached(dataset, known.boundaries.filename) if known.boundaries else None
    if not (known.shape and known.boundaries and asset and dataset.column(known.boundaries.key)):
        raise _no_places()
    polygons = _polygons(store.assets.path(asset), known.boundaries.property)
    period = _period(request, dataset, known.shape.period, known.shape.time)
    return Districts(files, dataset, (known.shape.period, period), (known.boundaries.key, polygons))


@lru_cache(maxsize=4)
def _polygons(path: Path, name: str) -> dict[str, Any]:
    """Read the polygons once: an asset never changes."""
    return boundaries(path.read_bytes(), name)


def _no_places() -> Exception:
    return problem(
        404, "download.no-geometry", "This dataset has no geometry and no boundaries, so it cannot be shown on a map"
    )


def _mapped(dataset: PortalDataset) -> bool:
    return dataset.place is not None or about(dataset).boundaries is not None


def _period(request: Request, dataset: PortalDataset, field: str, time: str) -> str:
    """The requested period, or the latest. Raises SodaError 404 if there is none."""
    wanted = request.query_params.get("period")
    clauses = {"$select": f"`{field}`", "$order": f"`{time}` DESC NULLS LAST", "$limit": "1"}
    compiled = compile_question(dataset, SoqlQuestion(clauses, ((field, wanted),) if wanted else ()))
    found = portal(request).engine.fetch(sources_of(request, dataset, compiled), compiled)
    if not found:
        raise problem(404, "download.no-period", "This dataset has no rows for that period")
    return str(found[0][field])


_lanes: anyio.lowlevel.RunVar[dict[str, anyio.CapacityLimiter]] = anyio.lowlevel.RunVar("lanes")
_MAKING: dict[str, asyncio.Task[Kept]] = {}
"""The files that this process is making, by their name and dataset."""


def _lane(name: str) -> anyio.CapacityLimiter:
    """The limiter for a format: each process makes one file of a format at a time, in its own thread."""
    try:
        lanes = _lanes.get()
    except LookupError:
        lanes = {}
        _lanes.set(lanes)
    return lanes.setdefault(name.rpartition(".")[2], anyio.CapacityLimiter(1))


async def kept(request: Request, dataset: PortalDataset, name: str, write: Callable[[Path], None]) -> Kept:
    """The file with this name, made now if it does not exist yet. Raises SodaError, 503 if that takes too long."""
    cache = cache_of(request)
    found = await run_in_threadpool(cache.find, dataset, name)
    if found:
        return found
    mark = f"{name} {dataset!r}"
    task = _MAKING.get(mark)
    if task is None:
        if len(_MAKING) >= MOST_MADE:
            raise _not_yet()
        making = partial(anyio.to_thread.run_sync, cache.make, dataset, name, write, limiter=_lane(name))
        task = _MAKING[mark] = asyncio.create_task(making())
        task.add_done_callback(partial(_made_it, mark))
    await asyncio.wait({task}, timeout=WAIT)
    if not task.done():
        raise _not_yet()
    return task.result()


def _made_it(mark: str, task: asyncio.Task[Kept]) -> None:
    """Forget a finished task, and read its error so that asyncio does not report it."""
    del _MAKING[mark]
    if not task.cancelled():
        task.exception()


def _not_yet() -> SodaError:
    error = problem(
        503, "download.in-the-making", "This file is large and is still being created. Try again in a minute."
    )
    error.headers["Retry-After"] = "60"
    return error


def cache_of(request: Request) -> FileCache:
    """The cache of the files that are made from datasets."""
    return FileCache(portal(request).store.root / "downloads")


def _name(request: Request, dataset: PortalDataset, form: Form) -> str:
    """The file's name; it depends on the period only if the file shows a single period."""
    period = _one_period(request, dataset, form)
    mark = f"-{hashlib.sha256(period.encode()).hexdigest()[:16]}" if period else ""
    return f"rows{mark}.{form.name}"


def _one_period(request: Request, dataset: PortalDataset, form: Form) -> str | None:
    return (request.query_params.get("period") or None) if form.mapped and not dataset.place else None


async def _made(request: Request, dataset: PortalDataset, form: Form) -> Kept:
    if form.mapped and not _mapped(dataset):
        raise _no_places()
    shape = about(dataset).shape
    if shape and _one_period(request, dataset, form):  # one that is not there leaves no task and no file
        await run_in_threadpool(_period, request, dataset, shape.period, shape.time)
    return await kept(request, dataset, _name(request, dataset, form), partial(form.write, request, dataset))


class _Standing(FileResponse):
    """A file that existed a moment ago. Raises SodaError 503 if it was removed since."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await run_in_threadpool(Path(self.path).exists):
            raise problem(503, "dataset.changed", "The file was removed while it was being requested. Try again.")
        await super().__call__(scope, receive, send)


def sent(request: Request, dataset: PortalDataset, file: Kept, media_type: str, filename: str | None) -> Response:
    """The response with a kept file: with its hash, in ranges if requested, 304 if the client already has it.

    Without a file name, a browser shows it in place of saving it.
    """
    headers = headers_of(request, dataset, formats.CSV) | {"ETag": f'"{file.sha256}"', "Vary": "Authorization"}
    response = unchanged(request, headers)
    if response is not None:
        return response
    digest = f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:"
    headers["Repr-Digest"] = digest
    if "range" not in request.headers:
        headers["Content-Digest"] = digest
    # as it is on disk, so that bytes and hash agree: the server's own compression leaves it alone
    headers["Content-Encoding"] = "identity"
    return _Standing(file.path, headers=headers, media_type=media_type, filename=filename)


async def _download(request: Request, form: Form) -> Response:
    dataset = await run_in_threadpool(tabular, request, request.path_params["id"])
    file = await _made(request, dataset, form)
    return await run_in_threadpool(sent, request, dataset, file, form.media_type, f"{dataset.id}.{form.ending}")


async def data(request: Request) -> Response:
    """GET /api/views/{4x4}/data.csv: every row with field names, byte for byte the same until the dataset changes."""
    return await _download(request, CSV)


async def rows(request: Request) -> Response:
    """GET /api/views/{4x4}/rows.{parquet,xlsx,geojson,kml,kmz,shp}: every row as a file."""
    return await _download(request, _BY_NAME[request.url.path.rpartition(".")[2]])


async def sidecar(request: Request) -> Response:
    """GET …/rows.{format}.sha256 and …/data.csv.sha256: the hash in the format of sha256sum."""
    dataset = await run_in_threadpool(tabular, request, request.path_params["id"])
    form = _BY_NAME.get(request.url.path.removesuffix(".sha256").rpartition(".")[2], CSV)
    file = await _made(request, dataset, form)
    return PlainTextResponse(f"{file.sha256}  {dataset.id}.{form.ending}\n", headers={"Vary": "Authorization"})


async def export(request: Request) -> Response:
    """GET /api/geospatial/{4x4}?method=export&format=…: the same files at Socrata's address for map exports."""
    wanted = request.query_params.get("format", "GeoJSON").lower()
    if request.query_params.get("method", "export") != "export" or wanted not in _EXPORTS:
        raise problem(
            400, "invalid_parameter", "method must be export, and format must be Shapefile, KML, KMZ, GeoJSON, or CSV"
        )
    return await _download(request, _BY_NAME.get(_EXPORTS[wanted], CSV))


def standing(request: Request, dataset: PortalDataset) -> list[Offer]:
    """All downloads of a dataset, with size and hash if the file already exists."""
    cache, base = cache_of(request), base_url(request)
    if dataset.blob:
        asset = portal(request).store.assets.find(dataset.blob)
        url = f"{base}/api/views/{dataset.id}/files/{dataset.blob}"
        return [Offer("file", asset.name, asset.media_type, url, asset.size, asset.sha256)] if asset else []
    offers = []
    for form in (CSV, *FORMS):
        if form.mapped and not _mapped(dataset):
            continue
        file = cache.find(dataset, f"rows.{form.name}")
        url = f"{base}/api/views/{dataset.id}/{'data' if form is CSV else 'rows'}.{form.name}"
        offers.append(Offer(form.name, form.label, form.media_type, url, *((file.bytes, file.sha256) if file else ())))
    return offers + _measured(request, dataset)


def _measured(request: Request, dataset: PortalDataset) -> list[Offer]:
    """The attached files with unbiased measurements, each at an address of its own that stays the same."""
    offers = []
    for name in _measurement_files(dataset):
        asset = portal(request).store.assets.attached(dataset, name)
        if asset is not None:
            url = f"{base_url(request)}/api/views/{dataset.id}/measurements/{name}"
            rows = name.endswith(".csv")
            label, said = ("Unbiased measurements", UNBIASED) if rows else ("About the measurements", ABOUT)
            kind = f"{label} ({'CSV' if rows else 'JSON'})"
            offers.append(Offer(name, kind, asset.media_type, url, asset.size, asset.sha256, said))
    return offers


def _measurement_files(dataset: PortalDataset) -> list[str]:
    return [name for each in about(dataset).measurements for name in (each.filename, each.about)]


async def measurements(request: Request) -> Response:
    """GET /api/views/{4x4}/measurements/{name}: a file with unbiased measurements, or what is in it."""
    dataset = await run_in_threadpool(tabular, request, request.path_params["id"])
    name, assets = request.path_params["name"], portal(request).store.assets
    asset = assets.attached(dataset, name) if name in _measurement_files(dataset) else None
    if asset is None:
        raise problem(404, "download.no-measurements", "This dataset offers no unbiased measurements under this name")
    file = Kept(assets.path(asset), asset.size, asset.sha256)
    return await run_in_threadpool(sent, request, dataset, file, asset.media_type, f"{dataset.id}-{name}")


async def listing(request: Request) -> Response:
    """GET /api/views/{4x4}/downloads.json: [{format, label, media_type, url, bytes, sha256}]."""
    dataset = await run_in_threadpool(readable, request, request.path_params["id"])
    if dataset.rows <= AT_ONCE:
        await make_all(request, dataset)
    offers = await run_in_threadpool(standing, request, dataset)
    task = BackgroundTask(make_all, request, dataset) if any(offer.sha256 is None for offer in offers) else None
    return JSONResponse([_shown(offer) for offer in offers], headers={"Vary": "Authorization"}, background=task)


async def make_all(request: Request, dataset: PortalDataset) -> None:
    """Make all files that can be made; the others report their error when they are requested."""
    for form in () if dataset.blob else (CSV, *FORMS):
        try:
            await _made(request, dataset, form)
        except SodaError:
            continue


_BEGUN: set[asyncio.Task[None]] = set()
"""The tasks that make files ahead of requests, one dataset at a time."""


def ahead(request: Request, dataset: PortalDataset, offers: list[Offer]) -> BackgroundTask | None:
    """A task that makes the missing files after the page was sent, if the dataset is not too large."""
    missing = any(offer.sha256 is None for offer in offers)
    return BackgroundTask(_begin, request, dataset) if missing and dataset.rows <= AHEAD else None


async def _begin(request: Request, dataset: PortalDataset) -> None:
    """Start making files, without waiting; if others are being made, the next visit to the page starts it."""
    if _BEGUN or "period" in request.query_params:
        return
    task = asyncio.create_task(make_all(request, dataset))
    _BEGUN.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    _BEGUN.discard(task)
    if not task.cancelled():
        task.exception()  # read, so that asyncio does not report it: a request for the file gets the error


def _shown(offer: Offer) -> dict[str, Any]:
    names = ("format", "label", "media_type", "url", "bytes", "sha256")
    return {name: getattr(offer, name) for name in names} | (
        {"description": offer.description} if offer.description else {}
    )


ROUTES = [
    Route("/api/views/{id}/downloads.json", listing),
    Route("/api/views/{id}/data.csv", data),
    Route("/api/views/{id}/data.csv.sha256", sidecar),
    *(Route(f"/api/views/{{id}}/rows.{form.name}", rows) for form in FORMS),
    *(Route(f"/api/views/{{id}}/rows.{form.name}.sha256", sidecar) for form in FORMS),
    Route("/api/views/{id}/measurements/{name}", measurements),
    Route("/api/geospatial/{id}", export),
]
