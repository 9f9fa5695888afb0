"""The server of ``lr-grid ui``: who may ask, what is refused, and that it goes on serving."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from importlib.resources import files

import pytest
from ui_server import Client, reply, serving

from lr_grid.errors import GridError
from lr_grid.ui import handler as handler_module
from lr_grid.ui import static_files as static_module
from lr_grid.ui.route import Route
from lr_grid.ui.security import HEADERS, TOKEN_HEADER, Guard, host_name
from lr_grid.ui.server import MOST_CONNECTIONS, listen

STATE = {"model": "flux-dev"}
METHODS = ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("ui")) as one:
        yield one


@pytest.fixture(autouse=True)
def _page(monkeypatch):
    """Two small files in place of the page's own."""
    files = {
        "/": static_module.StaticFile(b"<!doctype html>" + b"x" * 2000, "text/html; charset=utf-8"),
        "/main.js": static_module.StaticFile(b"export {};\n" * 100, "text/javascript; charset=utf-8"),
    }
    monkeypatch.setattr(handler_module, "static_files", lambda: files)


# Who may ask


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:80", "my.hub.org", "my.hub.org.:443"]
)
def test_hosts_of_this_machine_and_allowed_names_are_answered_on_any_port(client, host):
    assert client.send("GET", "/", {"Host": host}).status == 200
    assert client.api("ping", {}, Host=host).json == {"ok": True}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8477", "0.0.0.0", "127.0.0.2",
     "", "a b", "127.0.0.1@evil.example", "[::1", "localhost:port", "hub.org"],
)  # fmt: skip
def test_foreign_hosts_are_refused(client, host):
    for answer in (client.send("GET", "/", {"Host": host}), client.api("ping", {}, Host=host)):
        assert answer.status == 403
        assert "not allowed" in answer.json["error"]


def test_a_request_names_one_host(client):
    assert client.send("GET", "/", {"Host": None}).status == 400
    two = client.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert reply(two).status == 400


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8477", "http://localhost:1234", "https://my.hub.org", "http://[::1]:80"]
)
def test_origins_under_allowed_names_are_answered(client, origin):
    assert client.api("ping", {}, Origin=origin, Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://my.hub.org.evil.example", "file://", "", "http://", "http://[",
     "127.0.0.1", "chrome-extension://localhost", "http://127.0.0.1@evil.example"],
)  # fmt: skip
def test_foreign_origins_are_refused(client, origin):
    assert client.api("ping", {}, Origin=origin).status == 403


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_another_port_of_this_machine_is_another_site(client, site, status):
    assert client.api("ping", {}, Origin="http://localhost:5000", Sec_Fetch_Site=site).status == status


def test_a_missing_or_wrong_token_is_refused(client):
    token = client.server.guard.token
    wrong = [None, "", "x", token[:-1], f"{token}x", token.swapcase(), "ÿ" * 32, f" {token[1:]}"]
    for given in wrong:
        answer = client.api("ping", {}, **{TOKEN_HEADER: given})
        assert answer.status == 401, given
        assert "token" in answer.json["error"]
    assert client.send("POST", f"/api/ping?t={token}", {"Content-Type": "application/json"}, b"{}").status == 401
    twice = f"{token}\r\n{TOKEN_HEADER}: {token}"
    assert client.api("ping", {}, **{TOKEN_HEADER: twice}).status == 401
    assert client.api("ping", {}).status == 200


def test_every_server_has_a_token_of_its_own_that_cannot_be_guessed():
    tokens = {Guard.of().token for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32
    assert Guard.of().token not in repr(Guard.of())


def test_the_browser_that_is_opened_is_sent_on_to_the_page_once(client, monkeypatch):
    monkeypatch.setattr(client.server, "guard", Guard.of())
    guard = client.server.guard
    assert client.send("GET", "/open?wrong").status == 403
    assert client.send("HEAD", f"/open?{guard.ticket.code}").status == 405
    assert client.send("GET", f"/open?{guard.ticket.code}", {"Host": "evil.example"}).status == 403
    first = client.send("GET", f"/open?{guard.ticket.code}")
    assert (first.status, first.headers["location"]) == (303, f"./#t={guard.token}")
    assert first.headers["cache-control"] == "no-store"
    again = client.send("GET", f"/open?{guard.ticket.code}")
    assert again.status == 403
    assert guard.token not in again.body.decode()


def test_a_ticket_is_good_for_a_while_and_for_one_of_many():
    late = Guard.of().ticket
    late._until = 0.0
    assert not late.use(late.code)
    ticket, good = Guard.of().ticket, []
    threads = [threading.Thread(target=lambda: good.append(ticket.use(ticket.code))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(good) == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("text", "name"),
    [("LocalHost:80", "localhost"), ("[::1]:80", "::1"), ("a.b.", "a.b"), ("a/b", None), ("a:b", None)],
)
def test_host_names_are_read_without_case_and_port(text, name):
    assert host_name(text) == name


def test_every_answer_has_the_headers_that_lock_the_page(client):
    answers = [
        client.send("GET", "/"),
        client.send("GET", "/nothing"),
        client.send("PUT", "/"),
        client.send("GET", "/", {"Host": "evil.example"}),
        client.api("ping", {}),
        client.api("ping", {}, **{TOKEN_HEADER: "no"}),
        client.api("write", {}),
        client.api("parse", {"text": "hello"}),
        client.send("OPTIONS", "/api/ping", {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}),
        reply(client.raw(b"NONSENSE\r\n\r\n")),
    ]
    assert [answer.status for answer in answers] == [200, 404, 405, 403, 200, 401, 400, 200, 403, 400]
    for answer in answers:
        assert {key: answer.headers[key.lower()] for key in HEADERS} == HEADERS
        assert not [key for key in answer.headers if key.startswith("access-control")]
        assert "python" not in answer.headers.get("server", "").lower()
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


# Pages


def test_a_page_is_sent_whole_as_gzip_or_not_at_all(client):
    import gzip

    plain = client.send("GET", "/")
    assert plain.headers["content-type"] == "text/html; charset=utf-8"
    zipped = client.send("GET", "/", {"Accept-Encoding": "gzip, br"})
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body)
    known = client.send("GET", "/", {"If-None-Match": plain.headers["etag"]})
    assert (known.status, known.body) == (304, b"")
    assert client.send("GET", "/", {"If-None-Match": '"other"'}).status == 200


def test_the_whole_page_is_small():
    assert sum(len(file.read_bytes()) for file in (files("lr_grid.ui") / "static").iterdir()) < 120_000


def test_head_is_get_without_the_body(client):
    get, head = (client.send(method, "/main.js") for method in ("GET", "HEAD"))
    assert head.body == b""
    same = set(get.headers) - {"date"}
    assert {key: get.headers[key] for key in same} == {key: head.headers[key] for key in same}
    assert client.send("HEAD", "/nothing").body == b""


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_are_refused_and_told_what_is_allowed(client, method):
    page, api = client.send(method, "/"), client.send(method, "/api/ping")
    assert (page.status, page.headers["allow"]) == (405, "GET, HEAD")
    assert (api.status, api.headers["allow"]) == (405, "POST")
    assert client.send("POST", "/", body=b"{}").status == 405
    assert client.send("GET", "/api/ping").status == client.send("HEAD", "/api/ping").status == 405


@pytest.mark.parametrize(
    "path",
    ["/../setup.py", "/static/../../setup.py", "/..%2f..%2fsetup.py", "/%2e%2e/setup.py", "//etc/passwd", "/etc/passwd",
     "/main.js/", "/main.js%00", "/main.js/../main.js", "/./main.js", "/MAIN.JS", "/index.html~", "/__init__.py",
     "/server.py", "\\..\\setup.py", "/..\\..\\setup.py", "/C:/Windows/win.ini", "/main.js;x", "/%6dain.js",
     "http://evil.example/main.js", "/api", "/api/", "/api/../main.js", "/api/ping/../start", "/api//ping", "*",
     "main.js"],
)  # fmt: skip
def test_what_is_not_in_the_table_does_not_exist(client, path):
    assert client.send("GET", path).status in (400, 404)
    assert client.api(path.removeprefix("/api/"), {}).status in (400, 404)


def test_a_query_changes_nothing_of_a_page(client):
    assert client.send("GET", "/main.js?v=1").body == client.send("GET", "/main.js").body


# Bodies


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": None}, 411),
        ({"Content-Length": None, "Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "2", "Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "2x"}, 400),
        ({"Content-Length": "٢"}, 400),
        ({"Content-Length": "2\r\nContent-Length: 2"}, 400),
        ({"Content-Length": str((1 << 20) + 1)}, 413),
        ({"Content-Length": "9" * 15}, 413),
        ({"Content-Length": "9" * 30}, 400),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json; charset=UTF-8"}, 200),
    ],
)
def test_a_body_announces_its_length_and_that_it_is_json(client, headers, status):
    raw = {key: value.encode().decode("latin-1") if value else value for key, value in headers.items()}
    given = {"Content-Type": "application/json", TOKEN_HEADER: client.server.guard.token, **raw}
    assert client.send("POST", "/api/ping", given, b"{}").status == status


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b'"x"', b"null", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": -1e999}',
     b"{'a': 1}", b'{"a": "\\ud800"}', b"\xff\xfe{}", b'{"a": "\xe9"}', b"{} {}", b'{"a":' * 5000 + b"1" + b"}" * 5000,
     b'{"a":' + b"[" * 150 + b"]" * 150 + b"}", b'{"a": ' + b"9" * 5000 + b"}", b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(client, body):
    answer = client.api("ping", body)
    assert answer.status == 400
    assert set(answer.json) == {"error"}


def test_a_body_of_just_a_mebibyte_is_read_and_views_take_more(client):
    def padded(size: int) -> bytes:
        return b'{"text": "' + b" " * (size - 12) + b'"}'

    assert client.api("parse", padded(1 << 20)).status == 200
    assert client.api("parse", padded((1 << 20) + 1)).status == 413
    assert client.api("view", padded((1 << 20) + 1)).status == 400  # read, and no view: it has no name
    given = {"Content-Type": "application/json", TOKEN_HEADER: client.server.guard.token}
    given["Content-Length"] = str((32 << 20) + 1)
    assert client.send("POST", "/api/view", given).status == 413


def test_a_client_that_waits_before_it_sends_its_body_is_told_to(client):
    head = f"POST /api/ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{TOKEN_HEADER}: "
    head += f"{client.server.guard.token}\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_ends_early_is_refused(client):
    head = f"POST /api/ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{TOKEN_HEADER}: "
    head += f"{client.server.guard.token}\r\nContent-Length: 100\r\n\r\n{{}}"
    assert reply(client.raw(head.encode(), shut=True)).status == 400


@pytest.mark.parametrize(
    "state",
    [None, [], "x", {}, {"model": 1}, {**STATE, "base_lr": 1e-4}, {**STATE, "weights": {"double": [1]}},
     {**STATE, "weights": {"double": ["1"] * 19}}, {**STATE, "weights": {"unet": []}},
     {**STATE, "off": {"double": [19]}},
     {**STATE, "off": {"double": [True]}}, {**STATE, "off": {"double": "all"}}, {**STATE, "cells": {"double": []}},
     {**STATE, "cells": {"double": {"ffn": {"99": "1"}}}}, {**STATE, "cells": {"double": {"x": {}}}},
     {**STATE, "components": {"ffn": 1}}, {**STATE, "components": {"x": "1"}}, {**STATE, "components_off": ["x"]},
     {**STATE, "depth": {"levels": 1.5}}, {**STATE, "depth": {"min": None}}, {**STATE, "depth": []},
     {**STATE, "loraplus": {"x": "4"}}, {**STATE, "ranks": {"block_dims": {"double": {"0": -1}}}},
     {**STATE, "ranks": {"block_dims": {"double": {"0": 10**400}}}}, {**STATE, "ranks": {"dim": 4}},
     {**STATE, "kept": {"a": 1}}, {**STATE, "kept": {"grid": "setup.toml"}}, {**STATE, "kept": {"preset": "style"}},
      {**STATE, "command": "x"}, {**STATE, "command": [1]}, {**STATE, "module": None}],
)  # fmt: skip
def test_a_state_of_another_shape_is_refused(client, state):
    for name, more in (("write", {}), ("presets/save", {"name": "x"})):
        answer = client.api(name, {"state": state, **more})
        assert answer.status == 400, answer.body
        assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    ("name", "data"),
    [("parse", {}), ("parse", {"text": 1}), ("parse", {"text": "", "ranks": []}), ("model", {}),
     ("start", {"model": 5}),
     ("view", {"name": "x"}), ("view", {"name": "x", "base64": "é"}), ("view", {"name": "x", "base64": "a"}),
     ("recommend", {}), ("recommend", {"method": "x"}), ("recommend", {"method": "rules", "fields": {"x": "1"}}),
     ("recommend", {"method": "rules", "fields": {"rank": []}}), ("profile/read", {}), ("presets/delete", {})],
)  # fmt: skip
def test_a_question_of_another_shape_is_refused(client, name, data):
    assert client.api(name, data).status == 400


@pytest.mark.parametrize(
    "name", ["file/read", "file/poll", "file/save", "presets/delete", "model", "profile/read", "view"]
)
def test_a_question_that_is_understood_and_wrong_is_answered_with_its_problems(client, name):
    data = {"model": "no-model", "name": "none", "text": "x", "state": STATE, "etag": ""}
    answer = client.ask(name, data)
    assert set(answer) == {"problems"}
    assert all(set(problem) == {"text", "line"} and problem["text"] for problem in answer["problems"])


# Going on


def test_a_mistake_of_ours_is_told_without_details_and_ends_nothing(client, monkeypatch, capsys):
    def broken(data):
        raise KeyError("secret")

    monkeypatch.setitem(client.server.routes, "broken", Route(broken))
    answer = client.api("broken", {})
    assert answer.status == 500
    assert "secret" not in answer.body.decode()
    assert "secret" in capsys.readouterr().err
    assert client.ask("ping", {}) == {"ok": True}


def test_several_requests_share_a_connection_and_a_refused_body_ends_it(client):
    head = f"Host: localhost\r\nContent-Type: application/json\r\n{TOKEN_HEADER}: {client.server.guard.token}\r\n"
    good = f"POST /api/ping HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"
    last = f"POST /api/nothing HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}"
    answers = client.raw((good * 3 + last + good).encode())
    assert answers.count(b'{"ok":true}') == 3  # the one behind the refused request is not taken for one
    assert answers.count(b"HTTP/1.1 404") == 1


def test_a_request_hidden_in_a_body_is_none(client):
    inner = (
        f"POST /api/ping HTTP/1.1\r\nHost: localhost\r\n{TOKEN_HEADER}: {client.server.guard.token}\r\n\r\n".encode()
    )
    outer = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner)
    assert client.raw(outer + inner).count(b"HTTP/1.1 ") == 1


def test_a_client_that_drips_bytes_is_cut_off(client, monkeypatch):
    monkeypatch.setattr(handler_module, "REQUEST_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        begun, closed = time.monotonic(), False
        while time.monotonic() - begun < 5 and not closed:
            try:
                connection.sendall(b"X-A: b\r\n")
                connection.settimeout(0.05)
                closed = connection.recv(10) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        assert closed


def test_a_client_that_says_nothing_is_cut_off(client, monkeypatch):
    monkeypatch.setattr(handler_module, "IDLE_SECONDS", 0.1)
    assert client.raw(b"") == b""


def test_so_many_connections_at_most_and_then_it_serves_again(client):
    held = [socket.create_connection(("127.0.0.1", client.server.port), timeout=5) for _ in range(MOST_CONNECTIONS)]
    try:
        assert held[-1].getsockname()
        deadline = time.monotonic() + 5
        while client.server.free._value and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == b""
    finally:
        for connection in held:
            connection.close()
    while client.server.free._value < MOST_CONNECTIONS and time.monotonic() < deadline + 5:
        time.sleep(0.01)
    assert client.send("GET", "/").status == 200


def _mutated(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A request with a few bytes changed, taken out, repeated or put in."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at, way = draw.randrange(len(data) + 1), draw.randrange(5)
        if way == 0 and data:
            data[min(at, len(data) - 1)] = draw.randrange(256)
        elif way == 1:
            del data[at : at + draw.choice((1, 1, 4, 30))]
        elif way == 2:
            data[at:at] = data[at : at + draw.choice((1, 8, 40))]
        elif way == 3:
            data[at:at] = draw.choice(
                (b"\r\n", b"\r\n\r\n", b"\0", b"\xff", b"'", b'"', b"..", b"%2e", b"{", b"[", b"9" * 20)
            )
        else:
            data[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 3, 50))))
    return bytes(data)


def test_ten_thousand_spoilt_requests_leave_it_serving(client, capsys):
    draw, token = random.Random(9), client.server.guard.token
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\n{TOKEN_HEADER}: {token}\r\n"

    def post(name: str, data: object) -> bytes:
        body = json.dumps(data)
        return f"POST /api/{name} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    seeds = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /main.js HTTP/1.0\r\nHost: localhost\r\n\r\n",
        post("ping", {}),
        post("ping", {"a": [1, {"b": None}]}),
        post("view", {"name": "x", "text": '{"lr_grid": "1", "cells": []}'}),
        post("profile/read", {"text": '{"configuration": {"steps": "10"}}'}),
        post("recommend", {"method": "lrtool", "fields": {"model": "sdxl", "steps": "3"}, "base_lr": "1e-4"}),
        post("file/poll", {"etag": ""}),
        post("presets/delete", {"name": "x", "model": "flux-dev"}),
    ]
    threads_before = threading.active_count()
    statuses: dict[int, int] = {}
    for _ in range(10_000):  # one a connection: a broken one ends it, and what follows is not read
        for answer in client.raw(_mutated(draw, seeds), shut=True).split(b"HTTP/1.1 ")[1:]:
            status = int(answer[:3])
            statuses[status] = statuses.get(status, 0) + 1
    assert client.ask("ping", {}) == {"ok": True}
    assert set(statuses) <= {200, 304, 400, 401, 403, 404, 405, 411, 413, 414, 415, 417, 431, 505}, statuses
    assert len(statuses) > 6
    assert "Traceback" not in capsys.readouterr().err
    deadline = time.monotonic() + 5
    while threading.active_count() > threads_before + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads_before + 2


def test_it_listens_on_ipv6_too(client):
    try:
        server = listen("::1", 0, Guard.of(), lambda: client.page)
    except GridError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with socket.create_connection(("::1", server.port), timeout=5) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: [::1]:{server.port}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        server.shutdown()
        thread.join()


def test_the_port_falls_forward(client: Client):
    taken = client.server.port
    server = listen("127.0.0.1", taken, Guard.of(), lambda: client.page)
    try:
        assert server.port > taken
    finally:
        server.server_close()
