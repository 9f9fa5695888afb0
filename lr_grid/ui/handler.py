"""One connection: reads requests, has them checked, answers each. Nothing a client sends ends the server."""

from __future__ import annotations

import io
import sys
import traceback
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from lr_grid.errors import GridError
from lr_grid.ui.answer import JSON, Answer, RequestError, as_json, problems_json
from lr_grid.ui.body import check_type, length_of, read_object
from lr_grid.ui.deadline import DeadlineReader
from lr_grid.ui.security import HEADERS, TOKEN_HEADER
from lr_grid.ui.static_files import StaticFile, static_files

API = "/api/"
REQUEST_SECONDS = 20.0
"""For a whole request to arrive."""
IDLE_SECONDS = 60.0
"""For the next request on a connection to begin."""
TICKET = "open"
"""The address that the browser is opened with; its query is the ticket."""


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of the page's files; POST of JSON to the API."""

    server: Any  # a UiServer, which is made of this class
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # 0.9's answers have no headers
    server_version, sys_version = "lr-grid", ""
    wbufsize = -1  # an answer leaves in one piece

    def setup(self) -> None:
        super().setup()
        self.reader = DeadlineReader(self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(self.reader)

    def handle_one_request(self) -> None:
        self.reader.allow(IDLE_SECONDS)
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                self.close_connection = True
                return
            self.reader.allow(REQUEST_SECONDS)
            self.requestline, self.request_version, self.command = "", "HTTP/1.1", ""
            self.was_read = False
            if len(self.raw_requestline) > 65536:
                self.send_error(414)
            elif self.parse_request():
                self._respond()
            self.wfile.flush()
        except (TimeoutError, ConnectionError):
            self.close_connection = True

    def _respond(self) -> None:
        try:
            answer = self._answer()
        except RequestError as error:
            # Of a request that was not read to its end, the rest would be taken for the next one.
            self.close_connection = self.close_connection or (self._has_body() and not self.was_read)
            answer = error.answer()
        except (TimeoutError, ConnectionError):
            raise
        except Exception as error:  # a mistake of ours must not take the page down
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            text = f"the server made a mistake: {type(error).__name__} (its terminal says more)"
            answer = RequestError(500, text).answer()
        self._send(answer)

    def _answer(self) -> Answer:
        """Raises: RequestError for whatever is refused."""
        if len(self.headers.get_all("Host") or []) != 1:
            raise RequestError(400, "a request names one Host")
        wrong = self.server.guard.wrong_host(self.headers["Host"])
        if wrong:
            raise RequestError(403, wrong)
        path = self._path()
        if path.startswith(API):
            return self._api(path.removeprefix(API))
        if path == f"/{TICKET}":
            return self._by_ticket()
        file = static_files().get(path)
        if file is None:
            raise RequestError(404, "there is no such page")
        if self.command not in ("GET", "HEAD"):
            raise RequestError(405, f"{self.command} is not for pages", {"Allow": "GET, HEAD"})
        if self._has_body():
            raise RequestError(400, f"a {self.command} has no body")
        return self._file(file)

    def _by_ticket(self) -> Answer:
        """Sends the browser on to the page's whole address."""
        if self.command != "GET":
            raise RequestError(405, f"{self.command} is not for this address", {"Allow": "GET"})
        if not self.server.guard.ticket.use(urlsplit(self.path).query):
            raise RequestError(403, "this address was good for one use: open the one that the terminal shows")
        return Answer(b"", "text/plain; charset=utf-8", 303, {"Location": f"./#t={self.server.guard.token}"})

    def _path(self) -> str:
        """The path, as it was sent: nothing is decoded, so nothing hides in it."""
        try:
            parts = urlsplit(self.path)
        except ValueError:
            raise RequestError(400, "the address cannot be read") from None
        if parts.netloc or not parts.path.startswith("/"):
            raise RequestError(400, "the address is no path")
        return parts.path

    def _has_body(self) -> bool:
        return self.headers.get("Content-Length", "0").strip() != "0" or "Transfer-Encoding" in self.headers

    def _api(self, name: str) -> Answer:
        wrong = self.server.guard.wrong_origin(self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site"))
        if wrong:
            raise RequestError(403, wrong)
        route = self.server.routes.get(name)
        if route is None:
            raise RequestError(404, "there is no such address")
        if self.command != "POST":
            raise RequestError(405, f"{self.command} is not for the API", {"Allow": "POST"})
        tokens = self.headers.get_all(TOKEN_HEADER) or []
        if len(tokens) != 1 or not self.server.guard.is_token(tokens[0]):
            raise RequestError(401, "the token is missing or wrong: open the page at the address that was printed")
        check_type(self.headers)
        length = length_of(self.headers, route.most)
        body = self.rfile.read(length)
        if len(body) < length:
            raise RequestError(400, "the body ends early")
        self.was_read = True
        try:
            return Answer(as_json(route.answer(read_object(body))))
        except GridError as error:
            return Answer(as_json(problems_json(error.problems)))

    def _file(self, file: StaticFile) -> Answer:
        headers = {"ETag": file.etag, "Vary": "Accept-Encoding"}
        if self.headers.get("If-None-Match") == file.etag:
            return Answer(b"", file.type, 304, headers)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            return Answer(file.zipped, file.type, headers={**headers, "Content-Encoding": "gzip"})
        return Answer(file.body, file.type, headers=headers)

    def _send(self, answer: Answer) -> None:
        self.connection.settimeout(REQUEST_SECONDS)
        self.send_response(answer.status)
        for key, value in {**HEADERS, **answer.headers}.items():
            self.send_header(key, value)
        self.send_header("Cache-Control", "no-cache" if "ETag" in answer.headers else "no-store")
        if answer.status != 304:
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def handle_expect_100(self) -> bool:
        """Tells a client that waits for it to send the body."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request line or its headers."""
        self.close_connection = True
        text = message or self.responses.get(code, ("the request is not understood",))[0]
        self._send(Answer(as_json({"error": text}), JSON, int(code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the address."""
