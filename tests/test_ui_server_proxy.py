"""The page behind a proxy that serves it below a path, as a hub does, and through a forwarded port."""

from __future__ import annotations

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin

import pytest
from ui_server import serving

from lr_grid.ui.security import TOKEN_HEADER

PREFIX = "/user/ann/proxy/8477"


@pytest.fixture(params=["my.hub.org", None], ids=["keeps the name", "gives its own"])
def hub(request, tmp_path):
    """(client, a function that asks the proxy). The proxy hands on the name it was asked by, or gives the server's."""
    with serving(tmp_path) as client:

        class Proxy(BaseHTTPRequestHandler):
            def forward(self) -> None:
                upstream = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=10)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {
                    key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")
                }
                headers["Host"] = request.param or f"127.0.0.1:{client.server.port}"
                upstream.request(self.command, self.path.removeprefix(PREFIX), body or None, headers)
                answer = upstream.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = forward

            def log_message(self, *args) -> None:
                pass

        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=10)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        yield client, ask
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def test_every_address_of_the_page_stays_below_the_proxys_path(hub):
    _, ask = hub
    seen: dict[str, str] = {}
    waiting = [f"{PREFIX}/"]
    while waiting:
        path = waiting.pop()
        status, body = ask("GET", path)
        assert status == 200, path
        seen[path] = text = body.decode()
        named = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", text) if path.endswith("/") else []
        named += re.findall(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""", text)
        for one in named:
            assert not re.match(r"/|\w+:", one), f"{path} names {one}"
            found = urljoin(path, one)
            assert found.startswith(f"{PREFIX}/")
            if found not in seen and found not in waiting:
                waiting.append(found)
    assert len(seen) > 5
    assert not [path for path, text in seen.items() if re.search(r"https?://(?!www\.w3\.org/)", text)]


def test_the_pages_questions_go_through_with_the_proxys_origin_alone(hub):
    client, ask = hub
    headers = {"Content-Type": "application/json", TOKEN_HEADER: client.server.guard.token}
    body = json.dumps({"text": "ffn_lr=2x", "model": "flux-dev"}).encode()
    given = {**headers, "Origin": "https://my.hub.org", "Sec-Fetch-Site": "same-origin"}
    status, answer = ask("POST", f"{PREFIX}/api/parse", body, **given)
    assert status == 200
    assert json.loads(answer)["state"]["components"] == {"ffn": "2x"}
    assert ask("POST", f"{PREFIX}/api/parse", body, **{**given, "Origin": "https://other.hub.org"})[0] == 403
    assert ask("POST", f"{PREFIX}/api/parse", body, **{**given, TOKEN_HEADER: "x"})[0] == 401


def test_a_forwarded_port_has_another_number(tmp_path):
    with serving(tmp_path) as client:
        assert client.send("GET", "/", {"Host": "localhost:9000"}).status == 200
        assert client.api("ping", {}, Host="localhost:9000", Origin="http://localhost:9000").json == {"ok": True}
