"""The tutor's program: one chat request a turn, made in this process; no tools, no sandbox."""

from __future__ import annotations

from typing import Any

import aiohttp
import verifiers.v1 as vf
from verifiers.v1.dialects.chat import message_to_wire
from verifiers.v1.runtimes import ProgramResult


class TutorHarness(vf.Harness[vf.HarnessConfig]):
    """Sends the conversation so far to the run's endpoint and leaves the answer on the trace."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> ProgramResult:
        body: dict[str, Any] = {
            "model": ctx.model,
            "messages": [message_to_wire(message) for message in data.prompt or []],
        }
        if trace.state.max_tokens:
            body["max_tokens"] = trace.state.max_tokens
        no_limit = aiohttp.ClientTimeout(total=None)  # the agent's own deadline is the bound
        async with (
            aiohttp.ClientSession(timeout=no_limit) as session,
            session.post(
                f"{endpoint}/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {secret}"},
            ) as response,
        ):
            answer = await response.text()
            failed = "" if response.ok else f"{response.status}: {answer}"
        return ProgramResult(exit_code=1 if failed else 0, stdout="", stderr=failed)
