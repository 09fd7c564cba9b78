"""The weights file: whole and of the right version, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.vllm.weights import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    FILE_NAME,
    HEADER_BYTES,
    Refused,
    identity,
    open_published,
    publish,
    publish_adapter,
)


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(3, 5, generator=generator),
        "b.weight": torch.randn(4, 2, generator=generator).bfloat16(),
        "c.weight": torch.randn(6, 4, generator=generator).half().t(),  # not contiguous
        "d.empty": torch.zeros(0, 3),
    }


def test_what_is_published_is_what_safetensors_reads(tmp_path: Path) -> None:
    path = publish(tensors().items(), tmp_path, 3)
    read = load_file(path)
    assert read.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)
    with open_published(path, 3) as published:
        assert torch.equal(published.get_tensor("a.weight"), tensors()["a.weight"])
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = publish(tensors().items(), tmp_path, 3)
    with pytest.raises(Refused, match="version 3, not 4"), open_published(path, 4):
        pass


@pytest.mark.parametrize("cut", [1, 100, 200])
def test_a_torn_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = publish(tensors().items(), tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Refused), open_published(path, 3):
        pass


def test_changed_data_is_refused(tmp_path: Path) -> None:
    path = publish(tensors().items(), tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[8 + HEADER_BYTES + 7] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused, match="not what was written"), open_published(path, 3):
        pass


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused), open_published(tmp_path / "none", 1):
        pass
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Refused), open_published(tmp_path / "text", 1):
        pass


def test_an_interrupted_publication_leaves_the_previous_file_alone(tmp_path: Path) -> None:
    path = publish(tensors().items(), tmp_path, 3)

    def interrupted():
        yield "a.weight", torch.zeros(3, 5)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        publish(interrupted(), tmp_path, 4)
    with open_published(path, 3) as published:
        assert torch.equal(published.get_tensor("a.weight"), tensors()["a.weight"])
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


def test_two_files_are_written_in_turn(tmp_path: Path) -> None:
    """The one before the last is written over, also by a shorter one; the last is left alone."""
    path = publish(tensors().items(), tmp_path, 1)
    first = path.stat().st_ino
    publish(tensors().items(), tmp_path, 2)
    second = path.stat().st_ino
    with open_published(path, 2) as held:
        few = dict(list(tensors().items())[:2])
        publish(few.items(), tmp_path, 3)
        assert torch.equal(held.get_tensor("c.weight"), tensors()["c.weight"])
    assert first != second and path.stat().st_ino == first
    assert load_file(path).keys() == few.keys()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".{FILE_NAME}.before", FILE_NAME]


def test_a_file_that_was_found_whole_is_not_read_for_that_again(tmp_path: Path) -> None:
    path = publish(tensors().items(), tmp_path, 1)
    known = identity(path)
    with open_published(path, 1, known), pytest.raises(Refused), open_published(path, 2, known):
        pass
    data = bytearray(path.read_bytes())
    data[8 + HEADER_BYTES + 7] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused, match="not what was written"), open_published(path, 1, known):
        pass


def test_large_tensors_are_copied_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By way of one staging buffer, as from a GPU; here it is not pinned."""
    from src.vllm import weights

    monkeypatch.setattr(weights, "_STAGE", 10)
    whole = tensors()["a.weight"]
    pieces = [bytes(piece) for piece in weights._host_bytes(whole)]
    assert [len(piece) for piece in pieces] == [10] * 6
    assert b"".join(pieces) == whole.numpy().tobytes()
    path = publish(tensors().items(), tmp_path, 1)
    with open_published(path, 1) as published:
        assert torch.equal(published.get_tensor("c.weight"), tensors()["c.weight"])


def test_an_adapter_replaces_the_one_before(tmp_path: Path) -> None:
    config = {"r": 4, "target_modules": {"b", "a"}, "peft_type": "LORA"}
    for version in (1, 2):
        folder = publish_adapter(tensors().items(), config, tmp_path, version)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter-2"] == [folder.name]
    assert json.loads((folder / ADAPTER_CONFIG).read_text())["target_modules"] == ["a", "b"]
    with open_published(folder / ADAPTER_FILE, 2) as published:
        assert set(published.keys()) == tensors().keys()


def test_a_name_given_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="published twice"):
        publish([("a", torch.zeros(1)), ("a", torch.zeros(1))], tmp_path, 1)


def test_one_tensor_at_a_time_is_held(tmp_path: Path) -> None:
    """64 tensors of 1 MiB from a generator: the peak stays far from their sum."""
    import tracemalloc

    import numpy

    def stream():
        for at in range(64):
            yield f"t{at}", torch.from_numpy(numpy.full(1 << 18, at, dtype=numpy.float32))

    tracemalloc.start()
    publish(stream(), tmp_path, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
