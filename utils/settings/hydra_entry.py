"""Root scripts read their settings here: Hydra's ordinary ways, a typed object, errors in one line.

    @hydra_entry("config/train_rl", TrainRLConfig, config_name="smollm2")
    def main(cfg: TrainRLConfig) -> int | None: ...

    if __name__ == "__main__":
        main()

Before Hydra runs, the settings are composed once on trial: an unknown key, a wrong type or an
unknown config name ends with one line that names the nearest right one, and exit code 2.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import tempfile
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from config.errors import ConfigError, RunError
from config.normalise import normalise
from config.validate import validate
from utils.runs.logs import load_environment, redact
from utils.runs.names import is_finished, run_path
from utils.runs.process import short_barriers
from utils.settings.config_errors import explain, schema_keys, unknown_flag, unknown_key
from utils.settings.config_files import modern_overrides, use_config_files
from utils.settings.sweeps import Sweep, expand_sweep

C = TypeVar("C")
ROOT = Path(__file__).resolve().parents[2]
# Hydra's own folders and logging are off: the run folder is ours (utils/runs/folder.py).
HYDRA_SETTINGS = (
    "hydra.run.dir=.",
    "hydra.sweep.subdir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=disabled",
    "hydra/hydra_logging=disabled",
)


def hydra_entry(
    config_path: str, schema: type[C], *, config_name: str
) -> Callable[[Callable[[C], int | None]], Callable[[], None]]:
    """Decorator of a root script's main: it gets the validated settings as an object of `schema`.

    `config_path` is relative to the repository.  `main` may return an exit code.  A ConfigError
    that it raises becomes one line and exit code 2, a RunError (ProviderError is
    one) one line and exit code 1.
    """

    def decorate(main: Callable[[C], int | None]) -> Callable[[], None]:
        @functools.wraps(main)
        def entry() -> None:
            import hydra

            def task(cfg: Any) -> None:
                code = _one_line(lambda: _run(main, to_settings(cfg, schema), sweep))
                if code:  # a sweep goes on after a job without one
                    sys.exit(code)

            if hydra_parser().parse_known_args(sys.argv[1:])[0].help:
                print(help_text(main, config_path, config_name))
                return
            load_environment()
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # whole tracebacks of real faults
            code = _one_line(lambda: _check(sys.argv[1:], config_path, schema, config_name))
            if code:
                sys.exit(code)
            args = hydra_parser().parse_known_args(sys.argv[1:])[0]
            use_config_files(schema, args.config_name or config_name)
            flags, overrides = _split(sys.argv[1:])
            sweep = Sweep(args.config_name or config_name, overrides) if args.multirun else None
            folder = str(ROOT / config_path)
            short_barriers()
            with tempfile.TemporaryDirectory() as swept:  # a sweep writes its summary there
                sys.argv[1:] = [*flags, *HYDRA_SETTINGS, f"hydra.sweep.dir={swept}", *overrides]
                hydra.main(version_base="1.3", config_path=folder, config_name=config_name)(task)()

        return entry

    return decorate


def help_text(main: Callable[..., Any], config_path: str, config_name: str) -> str:
    """What a script does, its flags and its configs."""
    script = Path(sys.argv[0]).name
    configs = ", ".join(sorted(p.stem for p in (ROOT / config_path).glob("*.yaml")))
    return (
        f"{(sys.modules[main.__module__].__doc__ or script).strip()}\n\n"
        f"usage: python {script} [--config-name NAME] [SETTING=VALUE ...]\n\n"
        f"  --config-name NAME    a file of {config_path}; without it: {config_name}\n"
        f"                        ({configs})\n"
        "  --config-dir FOLDER   look for it in this folder too\n"
        "  SETTING=VALUE         overrides any setting: run_name=mine\n"
        "  --multirun            a=1,2 runs once for each value\n"
        "  --cfg job             print the settings, each with its value\n"
        "  --hydra-help          Hydra's own flags\n\n"
        "Settings and their defaults: docs/settings.md."
    )


def _run(main: Callable[[C], int | None], settings: C, sweep: Sweep | None) -> int | None:
    """One run; of a sweep under a name that tells its point, and not again if it is finished."""
    if sweep is not None:
        from hydra.core.hydra_config import HydraConfig

        name = sweep.name(list(HydraConfig.get().overrides.task))
        settings.run_name = name  # type: ignore[attr-defined]
        folder = run_path(settings).with_name(name)
        if is_finished(folder):
            print(f"{folder} is finished; passed over", file=sys.stderr, flush=True)
            return 0
        print(f"run {name}", file=sys.stderr, flush=True)
    return main(settings)


def load_config(
    config_path: str,
    schema: type[C],
    config_name: str,
    overrides: Sequence[str] = (),
    *,
    config_dir: str | None = None,
) -> C:
    """The settings as a root script would get them.  Raises ConfigError.

    `config_dir` is one more folder to look for configs in (Hydra's `--config-dir`).
    """
    cfg = compose_config(config_path, schema, config_name, overrides, config_dir=config_dir)
    return to_settings(cfg, schema)


def compose_config(
    config_path: str,
    schema: type[Any],
    config_name: str,
    overrides: Sequence[str] = (),
    *,
    config_dir: str | None = None,
) -> Any:
    """Hydra's composed DictConfig; what Hydra refuses is raised as a ConfigError in one line."""
    from hydra import compose, version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    use_config_files(schema, config_name)
    folder = ROOT / config_path
    places = create_config_search_path(str(folder))
    if config_dir is not None:
        places.prepend("command-line", f"file://{Path(config_dir).resolve()}", anchor="schema")
    version.setbase("1.3")
    GlobalHydra.instance().clear()
    try:
        Hydra.create_main_hydra2(task_name="settings", config_search_path=places)
        return compose(config_name=config_name, overrides=modern_overrides(overrides))
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        folders = [folder, *([Path(config_dir)] if config_dir else [])]
        raise ConfigError(explain(error, schema, config_name, folders)) from error
    finally:
        GlobalHydra.instance().clear()


def to_settings(cfg: Any, schema: type[C]) -> C:
    """DictConfig -> validated dataclass object.  Raises ConfigError.

    A setting that has no value yet keeps the text "???"; whether one is needed is for `validate`.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    refuse_added_keys(cfg, schema)
    cfg = cfg.copy()
    unset = OmegaConf.missing_keys(cfg)
    for key in unset:
        if "[" in key:
            raise ConfigError(f"{key}: no value given")
        OmegaConf.update(cfg, key, "")
    try:
        settings = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {error.msg}") from error
    if not isinstance(settings, schema):
        raise ConfigError("defaults: the config must begin with `defaults: [schema, _self_]`")
    for key in unset:
        *groups, leaf = key.split(".")
        setattr(functools.reduce(getattr, groups, settings), leaf, "???")
    normalise(settings)
    validate(settings)
    return settings


def refuse_added_keys(cfg: Any, schema: type[Any]) -> None:
    """Hydra lets `+group.key=1` add any key, a misspelt one too; only dicts may grow."""
    keys = set(schema_keys(schema))

    def visit(node: Any, kind: Any, prefix: str) -> None:
        hints = typing.get_type_hints(kind)
        for key in node:
            if prefix + key not in keys:
                raise ConfigError(unknown_key(prefix + key, schema))
            if dataclasses.is_dataclass(hints[key]):
                visit(node[key], hints[key], f"{prefix}{key}.")

    visit(cfg, schema, "")


def hydra_parser() -> Any:
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.allow_abbrev = False
    return parser


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides in today's terms."""
    overrides = hydra_parser().parse_known_intermixed_args(list(argv))[0].overrides
    left = list(overrides)
    flags = []
    for argument in argv:
        if left and argument == left[0]:
            left.pop(0)
        else:
            flags.append(argument)
    return flags, modern_overrides(overrides)


def _check(argv: Sequence[str], config_path: str, schema: type[Any], config_name: str) -> None:
    """Compose and validate on trial what is about to run."""
    args, unknown = hydra_parser().parse_known_intermixed_args(list(argv))
    if unknown:
        raise ConfigError(unknown_flag(unknown[0], schema, hydra_parser()))
    if args.hydra_help or args.shell_completion or args.experimental_rerun:
        return
    if args.multirun and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--multirun: under several ranks each would sweep alone; give it to "
            "./start_rl_training.sh, which starts one launch a job"
        )
    name = args.config_name or config_name
    if args.config_path:
        config_path = str(Path(args.config_path).resolve())
    for overrides in expand_sweep(args.overrides) if args.multirun else [args.overrides]:
        cfg = compose_config(config_path, schema, name, overrides, config_dir=args.config_dir)
        if not (args.cfg or args.info):  # to look at a config it need not be complete
            to_settings(cfg, schema)


def _one_line(action: Callable[[], int | None]) -> int:
    """Run; a fault that a person can mend becomes one line on stderr and an exit code."""
    try:
        return action() or 0
    except ConfigError as error:
        _complain(error)
        return 2
    except RunError as error:
        _complain(error)
        return 1


def _complain(error: Exception) -> None:
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:  # once a node, whose lead it is
        print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr, flush=True)
