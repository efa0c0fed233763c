"""The JSON Schema of definition files, for editors.

It is the model's own schema plus what the loader takes care of before the model sees a file:
shorthands, `resource_defaults`, `extends` and `exclude`. The published copy is
docs/definition.schema.json; a test keeps it up to date.
"""

from __future__ import annotations

import copy
from typing import Any

from oa_sync.definitions.loader import DIALECTS, OPENANALYST
from oa_sync.definitions.model import Definition

_TEXT = {"type": "string"}


def definition_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a user may write in a definition file."""
    schema = Definition.model_json_schema(by_alias=True, mode="validation")
    parts: dict[str, dict[str, Any]] = schema["$defs"]
    _client(parts)
    _resource(parts)
    parts["Query"]["required"].remove("table")
    properties = schema["properties"]
    properties["resources"]["items"] = {"anyOf": [_TEXT, {"$ref": "#/$defs/Resource"}]}
    properties["resource_defaults"] = {"$ref": "#/$defs/ResourceDefaults"}
    properties["extends"] = {"enum": [*DIALECTS, OPENANALYST]}
    properties["exclude"] = {"type": "array", "items": _TEXT}
    schema["required"] = ["name"]
    schema["anyOf"] = [{"required": ["resources"]}, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _client(parts: dict[str, dict[str, Any]]) -> None:
    """Auth and paginators by their names alone, and no auth at all."""
    client, endpoint = parts["ClientConfig"]["properties"], parts["Endpoint"]["properties"]
    auth = client["auth"]
    del parts["NoAuth"], auth["discriminator"], auth["default"]
    kinds = [kind for kind in auth.pop("oneOf") if not kind["$ref"].endswith("NoAuth")]
    auth["anyOf"] = [{"enum": ["bearer", None]}, *kinds]
    for place in (client, endpoint):
        long = place["paginator"]["anyOf"][0]
        types = [name for name in long["discriminator"]["mapping"] if name != "offset"]
        place["paginator"]["anyOf"].insert(0, {"enum": types})
        for reference in long["oneOf"]:
            parts[reference["$ref"].rpartition("/")[2]]["required"] = ["type"]
    parts["OffsetPaginator"]["required"].append("limit")


def _resource(parts: dict[str, dict[str, Any]]) -> None:
    """The short forms of a resource, and the same words as defaults of all resources."""
    resource = parts["Resource"]
    properties = resource["properties"]
    properties["incremental"] = {"$ref": "#/$defs/Incremental"}
    properties["endpoint"] = {"anyOf": [_TEXT, {"$ref": "#/$defs/Endpoint"}]}
    resource["required"] = ["name"]
    del parts["Endpoint"]["required"], parts["Column"]["required"]
    parts["Column"]["properties"]["references"] = _TEXT
    named = copy.deepcopy(parts["Column"])
    named["properties"]["name"] = _TEXT
    named["required"] = ["name"]
    parts["NamedColumn"] = named
    as_list = {"type": "array", "items": {"$ref": "#/$defs/NamedColumn"}}
    properties["columns"] = {"anyOf": [properties["columns"], as_list]}
    defaults = copy.deepcopy(resource)
    del defaults["properties"]["name"], defaults["required"]
    parts["ResourceDefaults"] = {**defaults, "title": "ResourceDefaults"}
    parts["ResourceDefaults"]["description"] = "What a resource has that does not say otherwise."
