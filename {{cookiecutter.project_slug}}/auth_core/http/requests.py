"""Writes the API's requests as a Postman collection and as an .http file, from the OpenAPI document.

Both begin with a walk that works as it stands, from registration to logout, then have every operation by
its tag. The same document gives the same bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator

from auth_core import policy

from .openapi import UUID, operations

IN_HEADERS = policy.TOKEN_DELIVERY != "cookie"
# What answers bring that later requests send.
CARRIED = ("access", "refresh", "csrf_token")
# What a reader fills in; the last ones come with mails.
VARIABLES = {
    "base_url": "http://127.0.0.1:8000",
    "username": "ada",
    "email": "ada@example.com",
    "password": "correct horse battery staple",
    "new_password": "four wholly different words",
    "verification_key": "",
    "invitation": "",
}
# Property of a body -> the variable that it takes.
FILLED = {
    "username": "username",
    "email": "email",
    "password": "password",
    "password1": "password",
    "password2": "password",
    "old_password": "password",
    "new_password1": "new_password",
    "new_password2": "new_password",
    "invitation": "invitation",
    "refresh": "refresh",
}
FILLED_OF = {"verify_email": {"key": "verification_key"}, "token_verify": {"token": "access"}}


@dataclass
class Step:
    """One request, and the codes that each status may carry: one status where it is of the walk."""

    title: str
    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None
    expected: dict[int, list[str]]


@dataclass
class Folder:
    name: str
    steps: list[Step] = field(default_factory=list)


def folders() -> list[Folder]:
    """Return the walk, and a folder for each tag."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    found = {it["operationId"]: (path, method, it) for path, method, it in operations(document)}
    walk = []
    for name, wanted in _walk():
        steps = [
            _step(*found[operation], document, {status: []})
            for operation, status in wanted
            if operation in found
        ]
        walk.append(Folder(name, steps))
    by_tag: dict[str, Folder] = {}
    for path, method, operation in found.values():
        tag = operation["tags"][0]
        step = _step(path, method, operation, document, _statuses(operation, document))
        by_tag.setdefault(tag, Folder(tag)).steps.append(step)
    return [*filter(lambda it: it.steps, walk), *(by_tag[tag] for tag in sorted(by_tag))]


def _walk() -> Iterator[tuple[str, list[tuple[str, int]]]]:
    first = [(operation, 200) for operation in settings.SCHEMA_FIRST]
    yield "1 Register", [*first, ("password_policy", 200), ("register", 201)]
    if policy.EMAIL_VERIFICATION == "mandatory" and policy.REGISTRATION == "open":
        yield "2 Verify the address, with the key of the mail", [*first, ("verify_email", 200)]
    login = [*first, ("login", 200), ("user", 200), ("user_update", 200), ("session_list", 200)]
    tokens = [*([("token_verify", 200)] if IN_HEADERS else []), ("token_refresh", 200)]
    account = [("reauthenticate", 200), ("user_export", 200), ("session_end_others", 204)]
    yield "3 Log in, refresh, log out", [*login, *tokens, *account, ("logout", 200), ("user", 401)]


def _statuses(operation: dict[str, Any], document: dict[str, Any]) -> dict[int, list[str]]:
    found = {}
    for status, response in operation["responses"].items():
        reference = response.get("content", {}).get("application/json", {}).get("schema", {})
        component = reference.get("$ref", "").rpartition("/")[2]
        properties = document["components"]["schemas"].get(component, {}).get("properties", {})
        refused = int(status) >= 400
        found[int(status)] = properties["code"]["enum"] if refused else []
    return found


def _step(
    path: str,
    method: str,
    operation: dict[str, Any],
    document: dict[str, Any],
    expected: dict[int, list[str]],
) -> Step:
    headers = {}
    needed = (operation.get("security") or [{}])[0]
    if "accessToken" in needed:
        headers["Authorization"] = f"{policy.AUTH_HEADER_TYPE} {{{{access}}}}"
    if "csrfToken" in needed:
        headers["X-CSRF-Token"] = "{{csrf_token}}"
        # Without a type the server of development takes a request for text, which a form could send.
        headers["Content-Type"] = "application/json"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = None
    if content:
        headers["Content-Type"] = "application/json"
        body = _filled(operation["operationId"], _example(content))
    status = next(iter(expected)) if len(expected) == 1 else 200
    title = operation.get("summary") or operation["operationId"]
    return Step(
        title if status < 400 else f"{title} (refused now)",
        operation["operationId"],
        method,
        path.replace("{id}", UUID),
        headers,
        body,
        expected,
    )


def _example(content: dict[str, Any]) -> dict[str, Any]:
    given: list[dict[str, Any]] = [*content.get("examples", {}).values()]
    body: dict[str, Any] = given[0]["value"] if given else content["example"]
    return body


def _filled(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    variables = FILLED | FILLED_OF.get(operation, {})
    if not IN_HEADERS:  # no client ever has it in hand
        body = {name: value for name, value in body.items() if name != "refresh"}
    return {
        name: f"{{{{{variables[name]}}}}}" if name in variables else value
        for name, value in body.items()
    }


# --- Postman -----------------------------------------------------------------------------------

POSTMAN = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
SCRIPT = """\
const expected = {expected};
const body = pm.response.text() ? pm.response.json() : {{}};
pm.test("{title}", () => {{
  pm.expect(Object.keys(expected)).to.include(String(pm.response.code));
  const codes = expected[pm.response.code];
  if (codes.length) pm.expect(codes).to.include(body.code);
}});
for (const name of {carried}) {{
  if (body[name]) pm.collectionVariables.set(name, body[name]);
}}"""


def postman() -> str:
    """Return a collection in Postman's format 2.1, each request with a test of its answer."""
    variables = VARIABLES | dict.fromkeys(CARRIED, "")
    collection = {
        "info": {"name": policy.PROJECT_NAME, "schema": POSTMAN},
        "variable": [{"key": name, "value": value} for name, value in variables.items()],
        "item": [
            {"name": it.name, "item": [_postman_item(step) for step in it.steps]}
            for it in folders()
        ],
    }
    return f"{json.dumps(collection, indent=2, ensure_ascii=False)}\n"


def _postman_item(step: Step) -> dict[str, Any]:
    script = SCRIPT.format(
        expected=json.dumps(step.expected), title=step.name, carried=json.dumps(CARRIED)
    )
    request: dict[str, Any] = {
        "method": step.method,
        "header": [{"key": name, "value": value} for name, value in step.headers.items()],
        "url": f"{{{{base_url}}}}{step.path}",
    }
    if step.body is not None:
        request["body"] = {"mode": "raw", "raw": json.dumps(step.body, indent=2)}
    test = {"listen": "test", "script": {"type": "text/javascript", "exec": script.splitlines()}}
    return {"name": step.title, "request": request, "event": [test]}


# --- .http -------------------------------------------------------------------------------------


def http() -> str:
    """Return the requests for the REST Client of VS Code: a variable of an answer names the request."""
    lines = [f"# {policy.PROJECT_NAME}. Under each title stands what the answer may be."]
    lines += [f"@{name} = {value}" for name, value in VARIABLES.items()]
    brings = {
        "login": CARRIED,
        "token_refresh": CARRIED,
        **dict.fromkeys(settings.SCHEMA_FIRST, CARRIED[2:]),
    }
    sources: dict[str, str] = {}
    names: dict[str, int] = {}
    for folder in folders():
        lines += ["", "", f"# --- {folder.name}"]
        for step in folder.steps:
            names[step.name] = names.get(step.name, 0) + 1
            name = f"{step.name}{names[step.name]}"
            lines += _http_request(step, name, sources)
            sources |= dict.fromkeys(brings.get(step.name, ()), name)
    return "\n".join(lines) + "\n"


def _http_request(step: Step, name: str, sources: dict[str, str]) -> list[str]:
    lines = [f"{key}: {value}" for key, value in step.headers.items()]
    if step.body is not None:
        lines += ["", json.dumps(step.body, indent=2)]
    text = "\n".join(lines)
    for carried, source in sources.items():
        text = text.replace(f"{{{{{carried}}}}}", f"{{{{{source}.response.body.$.{carried}}}}}")
    answers = ", ".join(map(str, step.expected))
    head = [f"### {step.title}", f"# {answers}", f"# @name {name}"]
    return ["", *head, f"{step.method} {{{{base_url}}}}{step.path}", *text.splitlines()]
