"""What this Python lacks for the items, all of it at once, before any of them is begun.

    python -m benchmarks.gpu.needs OUT MODULE ...

imports the modules in this one process and writes OUT: what failed, and which packages are missing.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

TRAINER = (
    *("torch", "transformers", "trl", "deepspeed", "peft", "bitsandbytes", "datasets"),
    *(
        "benchmarks.gpu.training",
        "src.grpo.trainer",
        "src.grpo.rollouts.node",
        "src.grpo.rollouts.weights",
    ),
)
ENGINE = (
    *("vllm.entrypoints.openai.api_server", "xgrammar", "xxhash", "aiohttp"),
    *("src.vllm.providers", "src.vllm.worker_extension"),
)
#: vLLM imports every backend for schemas with the first request that has one.
SCHEMAS = ("vllm.v1.structured_output.backend_lm_format_enforcer",)
GPU_ONLY = ("bitsandbytes",)
PACKAGES = ("torch", "transformers", "trl", "deepspeed", "peft", "bitsandbytes", "vllm")


def failed_imports(modules: Iterable[str]) -> dict[str, str]:
    """Module -> why it cannot be imported."""
    found = {}
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # a library on an unknown machine may raise anything
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return found


def missing_packages(roots: Iterable[str] = PACKAGES) -> list[str]:
    """What the packages say they require and this Python has not, with what requires it.

    Extras are not followed.  A machine may do without some of it: the imports decide.
    """
    from packaging.requirements import Requirement

    queue = [(name, "") for name in roots]
    seen: set[str] = set()
    missing = []
    while queue:
        name, wanted_by = queue.pop()
        key = name.lower().replace("_", "-").replace(".", "-")
        if key in seen:
            continue
        seen.add(key)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            try:
                required = importlib.metadata.requires(f"{name}-cpu") or []
            except importlib.metadata.PackageNotFoundError:
                missing.append(f"{name} (for {wanted_by})" if wanted_by else name)
                continue
        for line in required:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append((requirement.name, name))
    return sorted(missing)


def main(arguments: list[str]) -> int:
    out, *modules = arguments
    failed = failed_imports(modules)
    found = {"failed": failed, "missing": missing_packages()}
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
