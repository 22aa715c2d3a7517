"""docs/consul-compat.md and docs/openapi.json say what the daemon does: each row is asked for over HTTP."""

import importlib.machinery
import importlib.util
import json
import re
import sys

import pytest

from rig.daemon import BUILD, ROOT


def load(name):
    """A program of tools/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


docs = load("http-docs")


@pytest.fixture(scope="module")
def endpoints():
    return docs.read(BUILD / "tools/tables.json", ROOT / "docs/http.table")


def asked(endpoint):
    """A path that the endpoint answers, with names that nobody has."""
    return re.sub(r":state", "any", re.sub(r":(?!state)\w+", "nosuch", endpoint.url))


def test_what_the_page_calls_refused_is_refused_with_its_text(consul, endpoints):
    refused = [endpoint for endpoint in endpoints[1:] if endpoint.route["why"]]
    assert len(refused) > 60
    for endpoint in refused:
        reply = consul.request(endpoint.method, asked(endpoint))
        assert (reply.status, reply.text) == (501, f"not served by Sluice: {endpoint.route['why']}"), (endpoint, reply)


def test_what_the_page_calls_served_is_served(consul, endpoints):
    served = [endpoint for endpoint in endpoints[1:] if not endpoint.route["why"] and "/watch" not in endpoint.path]
    assert len(served) > 40
    for endpoint in served:
        reply = consul.request(endpoint.method, asked(endpoint))
        assert reply.status not in (405, 501) and "Invalid URL path" not in reply.text, (endpoint, reply)
        assert reply.status != 404 or "nosuch" in asked(endpoint), (endpoint, reply)


def test_a_parameter_that_the_page_calls_refused_is_refused_with_its_text(consul, endpoints):
    bodies = {"/agent/service/register": {"Name": "web"}, "/agent/check/register": {"Name": "c", "TTL": "1h"}}
    n = 0
    for endpoint in endpoints[1:]:
        for parameter in endpoint.parameters:
            if parameter.mark != "!":
                continue
            reply = consul.request(endpoint.method, asked(endpoint), {**bodies[endpoint.path], parameter.plain: "text"})
            assert reply.status == 400 and reply.text.startswith(f"{parameter.plain}: "), (endpoint.path, parameter, reply)
            assert parameter.text in reply.text, (endpoint.path, parameter, reply)
            n += 1
    for parameter in endpoints[0].parameters:
        if parameter.mark == "!":
            reply = consul.get("health/service/web", **{parameter.name: "x"})
            assert reply.status == 400 and parameter.name in reply.text and parameter.text in reply.text, (parameter, reply)
            n += 1
    assert n > 15


def test_a_query_waits_where_the_page_says_so(consul, endpoints):
    """Where it does, the answer tells an index or a hash."""
    consul.register("nosuch")
    for endpoint in endpoints[1:]:
        if endpoint.method == "GET" and not endpoint.route["why"] and "/watch" not in endpoint.path:
            reply = consul.get(asked(endpoint))
            told = "index" if reply.headers["X-Consul-Index"] else "hash" if reply.headers["X-Consul-ContentHash"] else ""
            assert told == endpoint.route["waits"] or endpoint.path == "/kv/:key", (endpoint, reply.headers)


def test_the_specification_is_whole(consul, endpoints):
    spec = json.loads((ROOT / "docs/openapi.json").read_text())
    assert spec["openapi"].startswith("3.")
    ids, n = set(), 0
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            names = re.findall(r"{(\w+)}", path)
            assert [p["name"] for p in operation["parameters"] if p["in"] == "path"] == names
            listed = [(p["in"], p["name"]) for p in operation["parameters"]]
            assert len(listed) == len(set(listed)), (path, method)
            assert operation["operationId"] not in ids
            ids.add(operation["operationId"])
            n += 1
    assert n == len([endpoint for endpoint in endpoints[1:] if not endpoint.route["why"]])


# what the check of table and routes must find
WRONG = [("GET /nosuch\n", "no route answers it"), ("GET /acl/tokens\n  filter\n", "is refused, and"), ("", "is served, and")]


@pytest.mark.parametrize("text,complaint", WRONG)
def test_a_table_that_contradicts_the_code_is_refused(endpoints, tmp_path, text, complaint):
    table = tmp_path / "table"
    whole = (ROOT / "docs/http.table").read_text()
    table.write_text(whole + text if text else whole.replace("GET /status/peers ~ this host\n", ""))
    with pytest.raises(SystemExit, match=complaint):
        docs.read(BUILD / "tools/tables.json", table)
