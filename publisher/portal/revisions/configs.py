"""`/api/publishing/v1/config`: configurations, which say how revisions make columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from publisher.portal.answers.access import portal
from publisher.portal.api.payloads import parsed
from publisher.portal.revisions.lookups import answering, config_named, named_output, named_source
from publisher.portal.revisions.payloads import ConfigPayload, RevisionPayload
from publisher.portal.revisions.replies import BASE, Reply, config_reply
from publisher.portal.revisions.revisions import open_revision
from publisher.portal.store.drafts import Sort

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.store.drafts import Draft
    from publisher.portal.store.store import PortalStore


def build_config(request: Request, sent: bytes, _: str) -> Reply:
    """POST …/build_config: save a configuration that makes the same columns."""
    store, schema = portal(request).store, named_output(request)
    names = ("field_name", "display_name", "description", "transform_expr", "is_primary_key")
    columns = [{name: column[name] for name in names} for column in schema.body["output_columns"]]
    payload = parsed(ConfigPayload, sent).model_copy(
        update={"columns": columns, "parse_options": named_source(request).body["parse_options"]}
    )
    return _made_config(store, payload)


def create_config(request: Request, sent: bytes, _: str) -> Reply:
    """POST /config."""
    return _made_config(portal(request).store, parsed(ConfigPayload, sent))


def _made_config(store: PortalStore, payload: ConfigPayload) -> Reply:
    return config_reply(store.drafts.add(Sort.CONFIG, payload.model_dump()))


def _named_config(request: Request) -> Draft:
    return config_named(portal(request).store, request.path_params["name"])


def list_configs(request: Request, _: bytes, __: str) -> list[Reply]:
    """GET /config."""
    return [config_reply(config) for config in portal(request).store.drafts.configs()]


def show_config(request: Request, _: bytes, __: str) -> Reply:
    """GET /config/{name}."""
    return config_reply(_named_config(request))


def update_config(request: Request, sent: bytes, _: str) -> Reply:
    """PATCH /config/{name}: change the members sent; the name cannot be changed."""
    changes = parsed(ConfigPayload, sent).model_dump(exclude_unset=True, exclude={"name"})
    return config_reply(portal(request).store.drafts.update(_named_config(request), **changes))


def delete_config(request: Request, _: bytes, __: str) -> Reply:
    """DELETE /config/{name}."""
    found = _named_config(request)
    portal(request).store.drafts.remove(found)
    return config_reply(found)


def revision_of_config(request: Request, _: bytes, owner: str) -> Reply:
    """POST /config/{name}/revision/{4x4}: open a revision with the configuration."""
    store = portal(request).store
    payload = RevisionPayload(config=_named_config(request).body["name"])
    return open_revision(store, store.get(request.path_params["id"]), payload, owner)


_CONFIG = f"{BASE}/config/{{name}}"
_OUTPUT = f"{BASE}/source/{{source}}/schema/{{input}}/output/{{output}}"

ROUTES = [
    Route(f"{_OUTPUT}/build_config", answering(build_config, 201), methods=["POST"]),
    Route(f"{BASE}/config", answering(create_config, 201), methods=["POST"]),
    Route(f"{BASE}/config", answering(list_configs)),
    Route(_CONFIG, answering(show_config)),
    Route(_CONFIG, answering(update_config), methods=["PATCH"]),
    Route(_CONFIG, answering(delete_config), methods=["DELETE"]),
    Route(f"{_CONFIG}/revision/{{id}}", answering(revision_of_config, 201), methods=["POST"]),
]
