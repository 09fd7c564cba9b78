"""The loop in a thread: what is interrupted there has ended when its caller goes on."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from src.background import Background


def test_what_is_interrupted_has_ended_when_the_caller_goes_on() -> None:
    """Else a request that begins after connections were closed leaves one open for ever."""
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)  # as nested tasks take turns of the loop to end
            done.append("ended")

    main = threading.main_thread().ident
    assert main is not None
    # trainers of other tests leave their own way of stopping behind
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        with Background() as loop:
            with pytest.raises(KeyboardInterrupt):
                loop.run(work())
            assert done == ["ended"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_failure_is_the_coroutines_own() -> None:
    async def fails() -> None:
        raise ValueError("its own words")

    with Background() as loop, pytest.raises(ValueError, match="its own words"):
        loop.run(fails())
