"""What openapi.json cannot say to a program that calls the API with random data."""

import itertools
import re

import schemathesis
from hypothesis import strategies as st

# Times are valid ones. In bodies a key expires after 2100 and begins before, so that no two contradict each other.
AHEAD = st.integers(min_value=2100, max_value=9998).map(lambda year: f"{year}-06-15T12:30:00Z")
schemathesis.openapi.format("date-time", AHEAD)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

# TestSchemathesis has made keys with these ids: one for each request, since many end their key.
READY = (f"ready-{n}" for n in range(2000))
NUMBERS = itertools.count()


@schemathesis.hook
def map_body(ctx, body):
    records = [body]
    if isinstance(body, dict) and isinstance(body.get("keys"), list):
        records += body["keys"]
    for record in records:
        if not isinstance(record, dict):
            continue
        for name, value in (("not_before", "2050-01-01T00:00:00Z"), ("expires", "2150-01-01T00:00:00Z")):
            given = record.get(name)
            if isinstance(given, str) and TIME.fullmatch(given) and (given < "2100") == (name == "expires"):
                record[name] = value
    return body


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # Two different requests with the same Idempotency-Key are rejected, as they should be.
    name = (case.headers or {}).get("Idempotency-Key")
    if isinstance(name, str) and 0 < len(name) < 200:
        case.headers["Idempotency-Key"] = f"{name}-{next(NUMBERS)}"

    # Random ids are of no key. Where requests follow each other by links they have real ones already.
    if case.meta is None or case.meta.phase.name.value == "stateful" or not case.meta.generation.mode.is_positive:
        return
    if case.operation.path == "/api/delete_api_key":
        case.body["id"] = next(READY, "none-is-left")
    elif "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = next(READY, "none-is-left")


@schemathesis.deserializer("application/octet-stream")
def anything(ctx, response):
    return response.content.decode("latin-1")
