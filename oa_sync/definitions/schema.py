"""The JSON Schema of definition files, for editors.

It is the model's own schema plus what the loader takes care of before the model sees a file:
shorthands, `resource_defaults`, `extends` and `exclude`. The published copy is
docs/definition.schema.json; a test keeps it up to date, and this writes it:

    python -m oa_sync.definitions.schema > docs/definition.schema.json
"""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

from oa_sync.definitions.loader import DIALECTS, OPENANALYST
from oa_sync.definitions.model import Definition

_TEXT = {"type": "string"}
_MAY_BE_PARTIAL = ("Endpoint", "Column", "Child", "Detail", "Status")
"""Mappings for which a file with `extends` may give only the keys that it changes."""


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
    long = client["paginator"]["anyOf"][0]
    types = [name for name in long["discriminator"]["mapping"] if name != "offset"]
    paginators = [parts[ref["$ref"].rpartition("/")[2]] for ref in long["oneOf"]]
    words = {word: value for part in paginators for word, value in part["properties"].items()}
    del words["type"]
    parts["PaginatorOverride"] = {
        "description": "Parameters of the paginator of the definition that is extended.",
        "type": "object",
        "properties": {word: {"title": value["title"]} for word, value in words.items()},
        "additionalProperties": False,
    }
    for paginator in paginators:
        paginator["required"] = ["type"]
    parts["OffsetPaginator"]["required"].append("limit")
    for place in (client, endpoint):
        short = [{"enum": types}, {"$ref": "#/$defs/PaginatorOverride"}]
        place["paginator"]["anyOf"] = [*short, *long["oneOf"], {"type": "null"}]


def _resource(parts: dict[str, dict[str, Any]]) -> None:
    """Short forms, null to remove what the extended definition has, and defaults with the same keys."""
    resource = parts["Resource"]
    properties = resource["properties"]
    properties["incremental"] = {"$ref": "#/$defs/Incremental"}
    for part in ("Resource", "Child"):
        children = parts[part]["properties"]["children"]
        children["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Child"}, {"type": "null"}]}
    columns = properties["columns"]
    columns["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Column"}, {"type": "null"}]}
    properties["endpoint"] = {"anyOf": [_TEXT, {"$ref": "#/$defs/Endpoint"}]}
    resource["required"] = ["name"]
    for part in _MAY_BE_PARTIAL:
        del parts[part]["required"]
    parts["Column"]["properties"]["references"] = _TEXT
    named = copy.deepcopy(parts["Column"])
    named["properties"]["name"] = _TEXT
    named["required"] = ["name"]
    parts["NamedColumn"] = named
    as_list = {"type": "array", "items": {"$ref": "#/$defs/NamedColumn"}}
    properties["columns"] = {"anyOf": [columns, as_list]}
    defaults = copy.deepcopy(resource)
    del defaults["properties"]["name"], defaults["required"]
    parts["ResourceDefaults"] = {**defaults, "title": "ResourceDefaults"}
    parts["ResourceDefaults"]["description"] = "What a resource has that does not say otherwise."


if __name__ == "__main__":
    sys.stdout.write(json.dumps(definition_json_schema(), indent=2, ensure_ascii=False) + "\n")
