"""What all commands have in common: usage errors, settings, exit codes."""

from __future__ import annotations

import itertools
import logging
import re
import sys
from collections.abc import Generator
from inspect import cleandoc
from textwrap import dedent, indent
from typing import Any, NoReturn

from jupyter_core.application import JupyterApp
from traitlets import Unicode, default
from traitlets.config.loader import KVArgParseConfigLoader

from jupyter_green import __version__
from jupyter_green.configurable import load_settings
from jupyter_green.errors import JupyterGreenError
from jupyter_green.settings import Settings

OK = 0
FAILED = 1
"""What was asked for was tried and failed: a cell raised, a kernel died."""
USAGE = 2
"""It could not be tried as it was asked for."""
INTERRUPTED = 130
"""As shells count it: 128 and SIGINT."""
BROKEN_PIPE = 141


class Exit(JupyterGreenError):
    """Ends the program.

    Args:
        code: the exit code.
        message: one line for stderr, or nothing.
    """

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def usage(message: str) -> Exit:
    """The command cannot be tried as it was given."""
    return Exit(USAGE, message)


def options(section: str, **traits: str) -> dict[str, str]:
    """Options of a command by the traits that they set: ``older_than`` is ``--older-than``."""
    return {_option(name): f"{section}.{trait}" for name, trait in traits.items()}


def switches(section: str, **traits: tuple[str, str]) -> dict[str, tuple[dict[str, Any], str]]:
    """Options without a value, by the trait that they switch on and their help."""
    return {
        _option(name): ({section: {trait: True}}, told) for name, (trait, told) in traits.items()
    }


def _option(name: str) -> str:
    return name.replace("_", "-")


class Command(JupyterApp):
    """Base of the commands."""

    version = Unicode(__version__)
    aliases = options("")
    flags = switches("")
    most_arguments = 0
    """Positional arguments that the command takes."""

    @default("log_level")
    def _quiet(self) -> int:
        # What the libraries log comes to us as an exception, too, and is said once.
        return logging.CRITICAL

    @default("log_format")
    def _plain_log(self) -> str:
        return "jupyter green: %(message)s"

    def load_config_file(  # type: ignore[override]
        self, suppress_errors: bool = True
    ) -> None:
        """Commands have no configuration of their own; settings are read by load_settings."""

    def migrate_config(self) -> None:
        """Moving old Jupyter files about is not for us to do."""

    def _create_loader(
        self, argv: Any, aliases: Any, flags: Any, classes: Any
    ) -> KVArgParseConfigLoader:
        # By default traitlets warns of some unknown options and goes on: --dry-rum would delete.
        for argument in itertools.takewhile(lambda one: one != "--", argv):
            name, _, _ = argument.partition("=")
            if re.fullmatch(r"--[^.]+", name) and name[2:] not in {*aliases, *flags}:
                raise usage(f"there is no option {name}; see --help")
        return KVArgParseConfigLoader(
            argv,
            aliases,
            flags,
            classes=classes,
            log=self.log,
            subcommands=self.subcommands,
            exit_on_error=False,
        )

    def emit_description(self) -> Generator[str, None, None]:
        """The description as it stands in the class."""
        yield from (cleandoc(str(self.description)), "")

    def emit_examples(self) -> Generator[str, None, None]:
        """The examples as they stand in the class, indented evenly."""
        examples = indent(dedent(str(self.examples)).strip(), "    ")
        yield from ("Examples", "--------", "", examples, "")

    def exit(self, exit_status: int | str | None = 0) -> NoReturn:
        """Leave; a value that traitlets refuses is an error of usage."""
        raise SystemExit(USAGE if exit_status == 1 else exit_status)

    def start(self) -> None:
        """Check the arguments and run the command."""
        super().start()
        if len(self.extra_args) > self.most_arguments:
            extra = self.extra_args[self.most_arguments]
            raise usage(f"{self.name} does not know what to do with {extra!r}; see --help")
        self.run()

    def run(self) -> None:
        """What the command does; the command that only holds others does nothing.

        Raises:
            Exit: with any exit code but 0.
        """

    @property
    def argument(self) -> str | None:
        """The positional argument, if there is one."""
        return self.extra_args[0] if self.extra_args else None

    def settings(self) -> Settings:
        """The settings in force; what is wrong with them goes to stderr."""
        loaded = load_settings(self)
        for problem in loaded.problems:
            complain(str(problem))
        return loaded.settings


def complain(message: str) -> None:
    """One line on stderr."""
    print(f"jupyter green: {message}", file=sys.stderr, flush=True)
