"""One engine's control calls, blocking: health, sleep, wake, load new weights; over its socket."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from src.inference_providers.base import ProviderError


class EngineDied(ProviderError):
    """An engine's process has ended, or nobody answers at its socket any more."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(said)
        self.name = name


@dataclass(frozen=True, slots=True)
class Published:
    """A weights file, or an adapter's folder, and the version that it must have."""

    path: Path
    version: int


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EngineControl:
    """Blocking control of the server behind `path`; a refusal or anything but 200 raises
    ProviderError, after which the engine's state is unknown and it has to be restarted.

    Where nobody answers it is EngineDied.
    """

    def __init__(self, name: str, path: Path, timeout_s: float = 600.0) -> None:
        self.name, self.path, self.timeout_s = name, path, timeout_s

    def healthy(self) -> bool:
        """Whether the server answers that it is well; false where it does not listen yet."""
        try:
            return self._request("GET", "/health", timeout=5.0)[0] == 200
        except OSError:
            return False

    def probe(self, timeout_s: float) -> None:
        """A small call through server, engine and workers; a busy engine takes it between steps.

        Raises TimeoutError if it is not answered in time, another OSError or HTTPException where
        the connection is lost.
        """
        self._request("POST", "/collective_rpc", {"method": "published_version"}, timeout_s)

    def sleep(self, level: int) -> None:
        """Put weights into RAM and drop the KV cache (level 1), or drop both (level 2).

        Requests in flight are answered first.
        """
        self._call("POST", "/sleep", query={"level": level, "mode": "wait"})

    def wake(self, *tags: str) -> None:
        """Wake everything, or only the named parts (`weights`, `kv_cache`)."""
        self._call("POST", "/wake_up", query=[("tags", tag) for tag in tags])

    def is_sleeping(self) -> bool:
        return bool(json.loads(self._call("GET", "/is_sleeping"))["is_sleeping"])

    def load_weights(self, path: Path, version: int) -> int:
        """Load a published file in place into every worker; returns its version, checked."""
        results = self.rpc("load_published", path=str(path), version=str(version))
        for result in results:
            if not isinstance(result, dict) or result.get("loaded") != version:
                said = result.get("refused", result) if isinstance(result, dict) else result
                raise ProviderError(f"engine {self.name}: weights {version} not loaded: {said}")
        self.reset_prefix_cache()
        return version

    def load_adapter(self, folder: Path, version: int) -> str:
        """Load a published LoRA adapter; returns the model name that its requests must give."""
        # torch comes with it, which the launcher, who never loads weights, does without
        from src.vllm.weights import ADAPTER_FILE, Refused, open_published

        try:
            with open_published(folder / ADAPTER_FILE, version):
                pass
        except Refused as reason:
            raise ProviderError(f"engine {self.name}: adapter not loaded: {reason}") from None
        name = f"{self.name}-adapter-{version}"
        body = {"lora_name": name, "lora_path": str(folder), "load_inplace": True}
        self._call("POST", "/v1/load_lora_adapter", body=body)
        self.reset_prefix_cache()
        return name

    def unload_adapter(self, name: str) -> None:
        self._call("POST", "/v1/unload_lora_adapter", body={"lora_name": name})

    def loaded_version(self) -> int | None:
        """The version of the weights in the first worker; None for those it started with."""
        return self.rpc("published_version")[0]["version"]

    def reset_prefix_cache(self) -> None:
        """Forget the KV blocks of old weights; refused while requests run."""
        if not json.loads(self._call("POST", "/reset_prefix_cache"))["success"]:
            raise ProviderError(
                f"engine {self.name}: its prefix cache is in use; weights changed"
                " while requests were running"
            )

    def metrics(self) -> str:
        """vLLM's own counters, in Prometheus' text form."""
        return self._call("GET", "/metrics").decode()

    def rpc(self, method: str, **arguments: str) -> list[Any]:
        """Call a method of the worker extension in every worker; their results."""
        body = {"method": method, "kwargs": arguments, "timeout": self.timeout_s}
        answer = self._call("POST", "/collective_rpc", body=body)
        results = json.loads(answer)["results"] if answer else None
        if not results:
            raise ProviderError(f"engine {self.name}: {method} gave no result")
        return results

    def _call(self, verb: str, path: str, query: Any = None, body: Any = None) -> bytes:
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            status, answer = self._request(verb, target, body)
        except TimeoutError:
            raise ProviderError(
                f"engine {self.name}: {path} gave no answer in {self.timeout_s:.0f} s"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise EngineDied(self.name, f"engine {self.name} died: {path}: {error}") from None
        if status != 200:
            text = answer.decode(errors="replace").strip()[:300]
            raise ProviderError(f"engine {self.name}: {path} answered {status}: {text}")
        return answer

    def _request(
        self, verb: str, target: str, body: Any = None, timeout: float | None = None
    ) -> tuple[int, bytes]:
        connection = _UnixConnection(str(self.path), timeout or self.timeout_s)
        try:
            payload = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(verb, target, payload, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
