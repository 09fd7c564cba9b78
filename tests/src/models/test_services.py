"""What the hub or W&B would refuse at the end is refused at the start, in one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from config.errors import ConfigError
from config.schema import HuggingFaceSettings, LoggingSettings
from src.models.services import check_upload, check_wandb

WRITER = {"name": "ann", "orgs": [{"name": "lab"}], "auth": {"accessToken": {"role": "write"}}}
READER = WRITER | {"auth": {"accessToken": {"role": "read"}}}


class Service(HTTPServer):
    status = 200
    body = ""
    asked: list[str]


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.path} {self.headers['Authorization']}")
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Hub and W&B in one, on this machine."""
    server = Service(("127.0.0.1", 0), Answer)
    server.asked = []
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


UPLOAD = HuggingFaceSettings(name="lab/tutor", push_to_hub=True)


def test_a_token_that_may_write_is_fine(service: Service) -> None:
    service.body = json.dumps(WRITER)
    check_upload(UPLOAD)
    check_upload(HuggingFaceSettings(name="tutor", push_to_hub=True))
    assert service.asked == ["/api/whoami-v2 Bearer hf_abcdefgh"] * 2
    check_upload(HuggingFaceSettings(name="x/y"))  # no upload, no request
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "name", "says"),
    [
        (401, "{}", "lab/tutor", "huggingface.push_to_hub: .* answers 401 to the token"),
        (200, json.dumps(READER), "lab/tutor", "huggingface.push_to_hub: .* may only read"),
        (200, json.dumps(WRITER), "other/tutor", "huggingface.name: other is neither ann nor"),
        (200, "<html>", "lab/tutor", "huggingface.push_to_hub: .* is no model hub"),
    ],
)
def test_an_upload_that_would_fail(
    service: Service, status: int, body: str, name: str, says: str
) -> None:
    service.status, service.body = status, body
    with pytest.raises(ConfigError, match=f"^{says}") as refusal:
        check_upload(HuggingFaceSettings(name=name, push_to_hub=True))
    assert "\n" not in str(refusal.value) and "hf_abc" not in str(refusal.value)


def test_no_token_and_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ConfigError, match=r"^huggingface\.push_to_hub: needs a token"):
        check_upload(UPLOAD)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_abcdefgh")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(ConfigError, match=r"^huggingface\.push_to_hub: 127.* cannot be reached"):
        check_upload(UPLOAD)


def test_wandb_without_a_network(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    check_wandb(LoggingSettings(wandb=True))
    assert service.asked and service.asked[0].startswith("/graphql Basic ")
    service.status = 401
    with pytest.raises(ConfigError, match=r"^logging\.wandb: .* refuses WANDB_API_KEY"):
        check_wandb(LoggingSettings(wandb=True))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"^logging\.wandb: 127.*wandb_offline=true"):
        check_wandb(LoggingSettings(wandb=True))
    check_wandb(LoggingSettings(wandb=True, wandb_offline=True))
    check_wandb(LoggingSettings(wandb=False))
    monkeypatch.delenv("WANDB_API_KEY")
    check_wandb(LoggingSettings(wandb=True))
