"""Makes the OpenAPI document: every `code` of every operation, examples, tags, security.

What can be read from an operation's serializers, authenticators and permissions is; the rest its view
declares (`auth_core.http.schema.codes`), or a feature adds through SCHEMA_OPERATIONS.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser

Operation = dict[str, Any]
Refusals = defaultdict[int, set[str]]

# What any operation may answer besides its own: a malformed request, plain http, ?format=, Accept, a
# limit, the database away. And what those with a body may.
OF_ALL = {
    400: {"bad_request"},
    403: {"https_required"},
    404: {"not_found"},
    406: {"not_acceptable"},
    429: {"throttled"},
    503: {"unavailable"},
}
OF_BODIES = {
    400: {"invalid", "null", "parse_error"},
    411: {"length_required"},
    413: {"body_too_large"},
    415: {"unsupported_media_type"},
}
OF_SESSIONS = {
    "bad_authorization_header",
    "not_authenticated",
    "refresh_reused",
    "session_expired",
    "session_revoked",
    "token_expired",
    "token_not_valid",
}
REFUSALS = "x-refusals"  # gone when the document is ready


class Schema(AutoSchema):
    """drf-spectacular's description of an operation, with the codes of its refusals and a tag."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Operation | None:
        operation: Operation | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        refusals: Refusals = defaultdict(set)
        for status, names in OF_ALL.items():
            refusals[status] |= names
        for status in [status for status in operation["responses"] if int(status) >= 400]:
            declared = operation["responses"].pop(status)
            for content in declared.get("content", {}).values():
                refusals[int(status)].update(content["schema"].get("enum", ()))
        if "requestBody" in operation:
            for status, names in OF_BODIES.items():
                refusals[status] |= names
            refusals[400].update(codes_of(self.get_request_serializer()))
        if self.view.get_authenticators():
            refusals[401] |= OF_SESSIONS
        for permission in self.view.get_permissions():
            refusals[403].update(filter(None, [getattr(permission, "code", None)]))
            if isinstance(permission, IsAdminUser):
                refusals[403].add("permission_denied")
        operation[REFUSALS] = refusals
        operation.setdefault("summary", _title(operation))
        for path in settings.SCHEMA_OPERATIONS:
            import_string(path)(operation, self)
        return operation

    def get_tags(self) -> list[str]:
        """Return the name of the application that the view is of, the kernel's where it extends one."""
        found = [apps.get_containing_app_config(it.__module__) for it in type(self.view).__mro__]
        known = [it for it in found if it and it.name != "auth_core.http"]
        ours = [it for it in known if it.name.startswith("auth_core.")]
        named = [*known[:1], *ours[-1:]]
        return [str(named[-1].verbose_name)] if named else super().get_tags()


def _title(operation: Operation) -> str:
    """Return how the description begins."""
    sentence = " ".join(operation.get("description", "").split())
    return re.split(r"[:;.] |[:;.]$", sentence)[0] or operation["operationId"].replace("_", " ")


def codes_of(field: Any) -> Iterator[str]:
    """Yield the codes with which a serializer's field, or those within one, refuse a value."""
    if isinstance(field, type):
        field = field()
    if field is None or getattr(field, "read_only", False):
        return
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        yield from codes_of(field.child)
    if isinstance(field, serializers.Serializer):
        for each in field.fields.values():
            yield from codes_of(each)
        yield "invalid"
        return
    for code in field.error_messages:
        if not _never(code, field):
            yield code
    for validator in field.validators:
        yield from filter(None, [getattr(validator, "code", None)])


def _never(code: str, field: serializers.Field) -> bool:
    if code in {"required", "null", "blank", "empty"}:
        allowed = {"required": "required", "null": "allow_null"}.get(code, f"allow_{code}")
        return bool(getattr(field, allowed)) == (code != "required")
    limits = {"max_length", "min_length", "max_value", "min_value"}
    return code in limits and getattr(field, code, None) is None


# --- The whole document ------------------------------------------------------------------------


def add_refusals(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocess the document: a component for each refusal, shared where it has no codes of its own."""
    components = result.setdefault("components", {}).setdefault("schemas", {})
    _without_nullable(components)
    tags = set()
    sets: dict[int, Counter[frozenset[str]]] = defaultdict(Counter)
    for _path, _method, operation in operations(result):
        for status, names in operation.get(REFUSALS, {}).items():
            sets[status][frozenset(names)] += 1
    usual: dict[int, Any] = {status: it.most_common(1)[0][0] for status, it in sets.items()}
    # These differ too much for one set to stay the most common.
    usual |= {status: OF_ALL[status] for status in (400, 403)}
    for _path, _method, operation in operations(result):
        tags.update(operation.get("tags", ()))
        responses = operation["responses"]
        for status, names in operation.pop(REFUSALS, {}).items():
            name = f"Error{status}"
            if names != usual[status]:
                name = "".join(re.findall("[A-Za-z0-9]+", operation["operationId"].title())) + name
            components[name] = _error(status, names)
            content = {"schema": {"$ref": f"#/components/schemas/{name}"}}
            responses[str(status)] = {
                "content": {"application/json": content},
                "description": HTTPStatus(status).phrase,
            }
        operation["responses"] = dict(sorted(responses.items()))
    result["tags"] = [{"name": name} for name in sorted(tags)]
    result["components"]["schemas"] = dict(sorted(components.items()))
    return result


def _without_nullable(schema: Any) -> None:
    """Say "or null" as OpenAPI 3.1 does: pagination of Django REST Framework says it as 3.0."""
    if isinstance(schema, dict):
        if schema.get("nullable") is True and isinstance(schema.get("type"), str):
            del schema["nullable"]
            schema["type"] = [schema["type"], "null"]
        for each in schema.values():
            _without_nullable(each)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    """Yield what a document describes, path by path, each with its method in upper case."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _error(status: int, names: Iterable[str]) -> dict[str, Any]:
    """Return the schema of a refusal; a validation error (400) holds messages per field besides."""
    properties: dict[str, Any] = {
        "code": {"type": "string", "enum": sorted(names)},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    }
    required = ["code", "request_id"]
    if status == 400:
        properties["codes"] = {
            "type": "object",
            "description": "The codes of each field that was refused; its messages stand beside.",
            "additionalProperties": {},
        }
    else:
        required.append("detail")
    return {
        "type": "object",
        "description": f"{HTTPStatus(status).phrase}: `code` is for programs.",
        "properties": properties,
        "required": sorted(required),
        **({"additionalProperties": {}} if status == 400 else {}),
    }


# --- Examples ----------------------------------------------------------------------------------

REQUEST_ID = "7f9a2f6c1d3e4b5a8c7d6e5f4a3b2c1d"
UUID = "3f1c9a52-7d5e-4f0b-9a51-6f2f0c1d9e77"
TIME = "2030-01-01T12:00:00Z"
# A value for each property of that name, unless it is of another kind.
EXAMPLES: dict[str, Any] = {
    "access": "eyJhbGciOi...",
    "advice": ["Common words, years, repetitions and neighbouring keys count for little."],
    "amr": ["pwd"],
    "detail": "ok",
    "email": "ada@example.com",
    "event": "authn_login_success",
    "first_name": "Ada",
    "ip": "203.0.113.7",
    "key": "KEY-OF-THE-MAILED-LINK",
    "last_name": "Lovelace",
    "max_length": 1024,
    "min_length": 15,
    "new_email": "ada@example.com",
    "new_password1": "four wholly different words",
    "new_password2": "four wholly different words",
    "old_email": "countess@example.com",
    "old_password": "correct horse battery staple",
    "password": "correct horse battery staple",
    "password1": "correct horse battery staple",
    "password2": "correct horse battery staple",
    "refresh": "eyJhbGciOi...",
    "request_id": REQUEST_ID,
    "token": "eyJhbGciOi...",
    "uid": "UID-OF-THE-MAILED-LINK",
    "user_agent": "Mozilla/5.0",
    "username": "ada",
}
OF_FORMATS: dict[str, Any] = {
    "date-time": TIME,
    "date": TIME[:10],
    "uuid": UUID,
    "uri": "https://app.example.com/",
    "email": "ada@example.com",
}
OF_TYPES: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True}


def add_examples(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocess the document: a value for each body, made of its schema, where the view gave none."""
    schemas = result["components"]["schemas"]
    for _path, _method, operation in operations(result):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for content in body.get("content", {}).values():
                if not {"example", "examples"} & content.keys():
                    content["example"] = example(content["schema"], schemas)
    return result


def example(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """Return a value of a schema; `name` is the property's that it is for."""
    if "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        return _refusal(component, schemas) or example(schemas[component], schemas, name)
    for combined in ("oneOf", "anyOf", "allOf"):
        if combined in schema:
            return example(schema[combined][0], schemas, name)
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    known = {**EXAMPLES, **settings.SCHEMA_EXAMPLES}.get(name)
    if known is not None and type(known) is type(OF_TYPES.get(kind, [] if kind == "array" else {})):
        return known
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "array":
        return [example(schema["items"], schemas, name.removesuffix("s"))]
    if kind == "object":
        properties = schema.get("properties", {})
        return {each: example(of, schemas, each) for each, of in properties.items()}
    return OF_FORMATS.get(schema.get("format", ""), OF_TYPES.get(kind))


def _refusal(component: str, schemas: dict[str, Any]) -> dict[str, Any] | None:
    """Return a refusal as it is answered, with the first code that is its operation's own."""
    _head, error, status = component.rpartition("Error")
    if not error or not status.isdigit():
        return None
    names = schemas[component]["properties"]["code"]["enum"]
    usual = {*OF_ALL.get(int(status), ()), *OF_BODIES.get(int(status), ())}
    code = next((it for it in names if it not in usual), names[0])
    body = {"code": code, "request_id": REQUEST_ID}
    if status == "400" and code not in {"bad_request", "parse_error"}:
        return {"non_field_errors": ["..."], "codes": {"non_field_errors": [code]}, **body}
    return {"detail": "...", **body}
