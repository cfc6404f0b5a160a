"""Has hatchling build the front end before it packs: for `pip install .`, wheels and archives."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Hatchling loads this file by its path.
sys.path.insert(0, str(Path(__file__).parent))

from frontend import TOOLS, Frontend, FrontendError


class FrontendHook(BuildHookInterface):
    def dependencies(self) -> list[str]:
        """What pip has to fetch for the build: nothing, where there is nothing to build."""
        return [] if Frontend(Path(self.root)).is_current() else TOOLS

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, where what is there is not of these sources."""
        frontend = Frontend(Path(self.root))
        if frontend.is_current():
            return
        try:
            frontend.build()
        except FrontendError as error:
            # The last line that pip shows is the reason, without a traceback through pip.
            sys.exit(f"{error}")
