"""What openapi.json cannot say to a program that calls the API with random data."""

import itertools
import re

import schemathesis
from hypothesis import strategies as st

# Times are valid ones. In bodies a key expires after 2100 and begins before, so that no two contradict each other.
AHEAD = st.integers(min_value=2100, max_value=9998).map(lambda year: f"{year}-06-15T12:30:00Z")
schemathesis.openapi.format("date-time", AHEAD)
DURATION = re.compile(r"0|([0-9]{1,9}(\.[0-9]{1,9})?[ywdhms]){1,6}")  # which may be longer than the gate accepts
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

# Formats of the policy of a key.
LABEL = st.from_regex(r"[a-z][a-z0-9]{0,20}", fullmatch=True)
HOST = st.builds(lambda wild, a, b: f"{wild}{a}.{b}.example", st.sampled_from(["", "*."]), LABEL, LABEL)
PORT = st.one_of(st.just(""), st.integers(min_value=1, max_value=65535).map(lambda port: f":{port}"))
ORIGIN = st.builds(lambda scheme, host, port: f"{scheme}://{host}{port}", st.sampled_from(["http", "https"]), HOST, PORT)
schemathesis.openapi.format("origin", st.one_of(ORIGIN, st.sampled_from(["*", "null"])))
schemathesis.openapi.format("ip-range", st.one_of(st.ip_addresses().map(str), st.just("192.0.2.0/24"), st.just("2001:db8::/48")))
RATE = st.builds(lambda n, per, unit: f"{n}/{per}{unit}", st.integers(1, 10**9), st.integers(1, 31), st.sampled_from("smhd"))
schemathesis.openapi.format("rate", RATE)

PUBLIC_KEY = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
schemathesis.openapi.format("ed25519-public-key", st.just(PUBLIC_KEY))

# TestSchemathesis has made keys with these ids: one for each request, since many end their key.
READY = (f"ready-{n}" for n in range(2000))
NUMBERS = itertools.count()
GENERATIONS = itertools.count(1)


@schemathesis.hook
def map_body(ctx, body):
    for record in records_of(body):
        for name, value, duration in (("not_before", "2050-01-01T00:00:00Z", "12h"), ("expires", "2150-01-01T00:00:00Z", "100y")):
            given = record.get(name)
            if isinstance(given, str) and DURATION.fullmatch(given):
                record[name] = duration
            if isinstance(given, str) and TIME.fullmatch(given) and (given < "2100") == (name == "expires"):
                record[name] = value
        make_consistent(record)
    return body


def records_of(body):
    records = [body]
    if isinstance(body, dict) and isinstance(body.get("keys"), list):
        records += body["keys"]
    return [record for record in records if isinstance(record, dict)]


def make_consistent(record):
    """Resolves contradictions of valid fields of a policy, also with those that the key had before."""
    kind, origins = record.get("kind"), record.get("origins")
    if kind == "publishable" and origins is None:
        record["origins"] = ["https://docs.example.com"]
    elif kind == "secret" and (origins is None or is_list_of_origins(origins)):
        record["origins"] = None
    elif "kind" not in record and "origins" in record and (origins is None or is_list_of_origins(origins)):
        record["kind"] = None
    if record.get("visitors") in ("optional", "required") and record.get("sign_public_key", None) is None:
        record["sign_public_key"] = PUBLIC_KEY
    elif "sign_public_key" in record and record["sign_public_key"] is None and "visitors" not in record:
        record["visitors"] = None
    if type(record.get("generation")) is int and 0 <= record["generation"] < 2**31:
        record["generation"] = next(GENERATIONS)  # it can only be increased
    limits = record.get("limits")
    if isinstance(limits, dict) and is_number(limits.get("visitor_streams")):
        limits["streams"] = limits["visitor_streams"] if "streams" not in limits else max_limit(limits)
    elif isinstance(limits, dict) and is_number(limits.get("streams")) and "visitor_streams" not in limits:
        limits["visitor_streams"] = None


def is_list_of_origins(value):
    return isinstance(value, list) and 0 < len(value) <= 100 and all(isinstance(o, str) and KNOWN_ORIGIN.fullmatch(o) for o in value)


KNOWN_ORIGIN = re.compile(r"\*|null|https?://(\*\.)?[a-z][a-z0-9]*\.[a-z][a-z0-9]*\.(example|com|org)(:[0-9]+)?")


def max_limit(limits):
    streams, of_visitor = limits["streams"], limits["visitor_streams"]
    return max(streams, of_visitor) if is_number(streams) and streams > 0 else streams


def is_number(value):
    return type(value) in (int, float)  # 5.0 is an integer in JSON


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # Two different requests with the same Idempotency-Key are rejected, as they should be.
    name = (case.headers or {}).get("Idempotency-Key")
    if isinstance(name, str) and 0 < len(name) < 200:
        case.headers["Idempotency-Key"] = f"{name}-{next(NUMBERS)}"

    # Random ids are of no key. Where requests follow each other by links they have real ones already.
    if case.meta is None or case.meta.phase.name.value == "stateful" or not case.meta.generation.mode.is_positive:
        return
    for record in records_of(case.body):  # those of the coverage phase do not pass map_body
        make_consistent(record)
    if case.operation.path == "/api/delete_api_key":
        case.body["id"] = next(READY, "none-is-left")
    elif "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = next(READY, "none-is-left")


@schemathesis.deserializer("application/octet-stream")
def anything(ctx, response):
    return response.content.decode("latin-1")
