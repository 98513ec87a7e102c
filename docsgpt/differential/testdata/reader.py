"""Tells the differential tests what Flask makes of a request body and where Werkzeug routes a path.

Questions come on the standard input and answers go to the standard output, each as four bytes of length (big-endian)
and that many bytes. A question is "b" and a body, "p" and a method, a blank and a request target, or "f" and a
Content-Type, a line feed and a form. An answer is a JSON object. The first answer, before any question, tells the
versions. The end of the input ends the program.
"""

import importlib.metadata
import io
import json
import platform
import struct
import sys
from urllib.parse import unquote, urlsplit

from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

# The paths that the gate serves, as DocsGPT declares them.
ROUTES = {
    "stream": ("/stream", "POST"),
    "answer": ("/api/answer", "POST"),
    "search": ("/api/search", "POST"),
    "feedback": ("/api/feedback", "POST"),
    "completions": ("/v1/chat/completions", "POST"),
    "models": ("/v1/models", "GET"),
    "health": ("/api/health", "GET"),
    "store_attachment": ("/api/store_attachment", "POST"),
    "task_status": ("/api/task_status", "GET"),
    "artifacts": ("/api/artifacts", "GET"),
    "artifact": ("/api/artifacts/<uuid:id>", "GET"),
    "artifact_version": ("/api/artifacts/<uuid:id>/versions/<int:n>", "GET"),
    "artifact_download": ("/api/artifacts/<uuid:id>/download", "GET"),
    "stt": ("/api/stt", "POST"),
    "stt_live_start": ("/api/stt/live/start", "POST"),
    "stt_live_chunk": ("/api/stt/live/chunk", "POST"),
    "stt_live_finish": ("/api/stt/live/finish", "POST"),
    "tts": ("/api/tts", "POST"),
}

app = Flask(__name__)
for endpoint, (path, method) in ROUTES.items():
    app.add_url_rule(path, endpoint=endpoint, methods=[method])


class Number(str):
    """A number's text."""


class Members(list):
    """An object's members in their order, as pairs, none dropped."""


def environ(method, path, body):
    return {
        "REQUEST_METHOD": method,
        # What ASGI-to-WSGI adapters do with a decoded path.
        "PATH_INFO": path.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
    }


def kind(value):
    return type(value).__name__


def lossless(value):
    """A text that is the same for two values only if they are the same to the last digit and in the same order."""
    if isinstance(value, Number):
        return "number:" + value
    if isinstance(value, Members):
        return "{" + ",".join(json.dumps(k) + ":" + lossless(v) for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(lossless, value)) + "]"
    return json.dumps(value)


def content_cut(content):
    """The content of a chat message; texts in a list are put together as DocsGPT does."""
    if isinstance(content, list) and not isinstance(content, Members):
        return "\n".join(dict(part)["text"] for part in content)
    return content


def messages_cut(value):
    """Chat messages with nothing in them but what the gate lets through."""
    if not isinstance(value, list):
        return value
    return [
        Members((k, content_cut(v) if k == "content" else v) for k, v in m if k in ("role", "content", "name"))
        if isinstance(m, Members)
        else m
        for m in value
    ]


# The members of objects that the gate lets through.
INNER = {
    "stream_options": ("include_usage", "include_obfuscation"),
    "response_format": ("type", "json_schema"),
}


def cut(name, value):
    """A member's value with nothing in it but what the gate lets through."""
    if name == "messages":
        try:
            return messages_cut(value)
        except (KeyError, TypeError, ValueError):
            return value  # none that the gate lets through
    if name in INNER and isinstance(value, Members):
        return Members((k, v) for k, v in value if k in INNER[name])
    return value


def pairs_of(value):
    """The pairs of prompt and response that DocsGPT would find in a history, and whether there is nothing else in it.

    None: it cannot be read.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None, False
    entries = value if isinstance(value, list) else []
    found = [e for e in entries if isinstance(e, dict) and all(isinstance(e.get(k), str) for k in ("prompt", "response"))]
    only = isinstance(value, list) and len(found) == len(entries) and all(e.keys() == {"prompt", "response"} for e in found)
    return [[e["prompt"], e["response"]] for e in found], only


def lossless_or_deep(value):
    try:
        return lossless(value)
    except RecursionError:
        return "too deep"


def is_text(content):
    """Tells whether the content of a chat message is text and nothing else."""
    return content is None or isinstance(content, str)


def messages_are_text(data):
    messages = data.get("messages")
    return isinstance(messages, list) and all(isinstance(m, dict) and is_text(m.get("content")) for m in messages)


def why(body):
    """The name of the error that the JSON reader ends with."""
    try:
        json.loads(body)
    except Exception as e:  # noqa: BLE001
        return kind(e)
    return "none"


def read_body(body):
    answer = {"error": "", "kind": "", "keys": [], "names": [], "members": {}}
    # What DocsGPT does.
    with app.request_context(environ("POST", "/stream", body)):
        try:
            data = request.get_json()
        except (HTTPException, RecursionError):
            data = None
            answer["error"] = why(body)
    if not answer["error"]:
        answer["kind"] = kind(data)
    if isinstance(data, dict):
        if "history" in data:
            pairs, only = pairs_of(data["history"])
            answer["history"] = {"kind": kind(data["history"]), "pairs": json.dumps(pairs), "only_pairs": only}
        answer["keys"] = [json.dumps(name) for name in data]
        answer["messages_are_text"] = messages_are_text(data)
        for name in ("api_key", "active_docs", "conversation_id"):
            if name in data:
                value = data[name]
                answer[name] = {"kind": kind(value), "text": value if isinstance(value, str) else ""}
        if isinstance(data.get("active_docs"), list):
            answer["active_docs"]["items"] = [v if isinstance(v, str) else kind(v) for v in data["active_docs"]]
    # The same bytes once more, read without losing anything.
    try:
        tagged = json.loads(
            body, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=Number
        )
    except (ValueError, RecursionError) as e:
        answer["strict_error"] = kind(e)
        return answer
    if isinstance(tagged, Members):
        answer["names"] = [json.dumps(name) for name, _ in tagged]
        answer["members"] = {json.dumps(name): lossless_or_deep(value) for name, value in tagged}
        answer["cut"] = {json.dumps(name): lossless_or_deep(cut(name, value)) for name, value in tagged}
    return answer


def route(method, target):
    # What uvicorn does: the path without query and fragment, percent-decoded once.
    path = target.partition("#")[0].partition("?")[0]
    if not path.startswith("/"):
        path = urlsplit(path).path or "/"
    env = environ(method, unquote(path), b"")
    try:
        endpoint, _ = app.url_map.bind_to_environ(env).match()
    except RequestRedirect as e:
        return {"redirect": e.new_url}
    except HTTPException as e:
        return {"status": e.code}
    return {"endpoint": endpoint}


def read_form(content_type, body):
    """What DocsGPT finds in a form: each field and file in the order in which they came."""
    env = environ("POST", "/stream", body)
    env["CONTENT_TYPE"] = content_type
    with app.request_context(env):
        try:
            return {
                "fields": [[name, value] for name, value in request.form.items(multi=True)],
                "files": [
                    [name, file.filename, file.content_type or "", file.read().hex()]
                    for name, file in request.files.items(multi=True)
                ],
                "key": request.form.get("api_key"),
            }
        except HTTPException as e:
            return {"status": e.code}


def answer_question(question):
    if question[:1] == b"b":
        return read_body(question[1:])
    if question[:1] == b"f":
        content_type, _, body = question[1:].partition(b"\n")
        return read_form(content_type.decode("latin-1"), body)
    method, _, target = question[1:].decode("latin-1").partition(" ")
    return route(method, target)


def say(out, answer):
    text = json.dumps(answer).encode("ascii")
    out.write(struct.pack(">I", len(text)) + text)
    out.flush()


def main():
    questions, out = sys.stdin.buffer, sys.stdout.buffer
    version = importlib.metadata.version
    say(out, {"python": platform.python_version(), "flask": version("flask"), "werkzeug": version("werkzeug")})
    while header := questions.read(4):
        say(out, answer_question(questions.read(struct.unpack(">I", header)[0])))


main()
