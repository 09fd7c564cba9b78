"""The classroom on a page of this machine: loopback only, a token in the address.

The page polls one snapshot of the state and posts what the person does; nothing is kept in it, so
that it can be loaded again at any time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from config.errors import ConfigError
from src.dialog.conversation import Conversation
from src.sit_in.seat import Left, Said, Seat, Wanted, others_turn
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.report.conversations import body, index, solutions
from utils.report.page import ASSETS, CONVERSATION_SCRIPTS, STYLES, document

HOST = "127.0.0.1"
OWN = Path(__file__).parent / "assets"
POLL_S = 20.0
MOST_WRITTEN = 20_000  # characters of one message
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest stands in the page
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """A `Surface` in a browser.  `async with` serves it; `address` is where."""

    def __init__(self, seat: Seat, *, port: int = 0) -> None:
        self.seat, self._port = seat, port
        self._token = secrets.token_urlsafe(16)
        self._state: dict[str, Any] = {"phase": "loading"}
        self._version = 0
        self._changed = asyncio.Event()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._left = False
        self.address = ""

    # -- the surface -------------------------------------------------------------------------

    async def choose(self, problems: Sequence[Problem]) -> Problem | None:
        listed = [problem.text for problem in problems]
        answer = await self._wait("choose", problems=listed)
        number = answer.get("problem")
        if isinstance(number, int) and 0 <= number < len(problems):
            return problems[number]
        return None

    def follow(self, conversation: Conversation) -> None:
        self._set("talk", **self._talk(conversation))

    async def ask(self, wanted: Wanted, conversation: Conversation) -> Said:
        while True:
            answer = await self._wait("ask", wanted=wanted, **self._talk(conversation))
            text = str(answer.get("text", ""))[:MOST_WRITTEN]
            said = Said(text=text, ends=answer.get("ends") is True)
            if text.strip() or said.ends or wanted == "solution":
                return said

    async def show(self, record: ConversationRecord) -> None:
        result = {
            "index": index([(0, record)]),
            "body": body(record) | solutions(record),
        }
        await self._wait("over", result=result)

    def _talk(self, conversation: Conversation) -> dict[str, Any]:
        return {
            "problem": conversation.problem.text,
            "student": conversation.student_name,
            "messages": [
                {"role": m.role, "speaker": m.speaker, "text": m.visible}
                for m in conversation.messages
            ],
            "waiting": others_turn(conversation, self.seat),
        }

    def _set(self, phase: str, **more: Any) -> None:
        self._version += 1
        self._state = {"phase": phase, "seat": self.seat, "version": self._version, **more}
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, phase: str, **more: Any) -> dict[str, Any]:
        """Show this and wait for what the person does."""
        if self._left:
            raise Left
        self._answer = asyncio.get_running_loop().create_future()
        self._set(phase, **more)
        return await self._answer

    # -- the server --------------------------------------------------------------------------

    async def __aenter__(self) -> Page:
        app = web.Application(middlewares=[self._guard], client_max_size=200_000)
        base = f"/{self._token}"
        app.add_routes(
            [
                web.get(f"{base}/", self._page),
                web.get(f"{base}/state", self._poll),
                web.post(f"{base}/answer", self._take),
                web.post(f"{base}/leave", self._leave),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"--port: {self._port}: {error.strerror or error}") from error
        self._port = self._runner.addresses[0][1]
        self.address = f"http://{HOST}:{self._port}{base}/"
        print(f"Open {self.address} (Ctrl+C here leaves)", flush=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._set("left", failed=str(error) if isinstance(error, Exception) else "")
        await asyncio.sleep(0.2)  # who polls is told
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Only a browser that was given this very address: no other site's script, no other name
        that points here."""
        here = {f"{HOST}:{self._port}", f"localhost:{self._port}"}
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.removeprefix("http://") not in here
        if request.host not in here or foreign:
            raise web.HTTPForbidden
        answer: web.StreamResponse = await handler(request)
        answer.headers.update(HEADERS)
        return answer

    async def _page(self, request: web.Request) -> web.Response:
        text = document(
            f"Sit in as the {self.seat}",
            [*(ASSETS / name for name in STYLES), OWN / "sit_in.css"],
            [*(ASSETS / name for name in CONVERSATION_SCRIPTS), OWN / "sit_in.js"],
            '<div id="app"><noscript>This page needs its own script.</noscript></div>\n',
            served=True,
        )
        return web.Response(text=text, content_type="text/html")

    async def _poll(self, request: web.Request) -> web.Response:
        """The state, at once if it is newer than `after`, else when it changes."""
        if request.query.get("after") == str(self._version):
            try:
                await asyncio.wait_for(self._changed.wait(), POLL_S)
            except TimeoutError:
                return web.json_response({"phase": "same"})
        return web.json_response(self._state)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            given = await request.json()
        except ValueError:
            raise web.HTTPBadRequest from None
        asked = self._answer is not None and not self._answer.done()
        # an answer to an older question was sent twice, or from a page that is out of date
        if not isinstance(given, dict) or not asked or given.get("version") != self._version:
            raise web.HTTPConflict
        assert self._answer is not None
        self._answer.set_result(given)
        return web.json_response({})

    async def _leave(self, request: web.Request) -> web.Response:
        self._left = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Left())
        return web.json_response({})
