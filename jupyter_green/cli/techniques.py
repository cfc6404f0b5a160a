"""``jupyter green techniques``: the catalogue of techniques that save energy."""

from __future__ import annotations

import shutil

from traitlets import Enum

from jupyter_green.cli.base import Command, options, usage
from jupyter_green.insight import catalogue
from jupyter_green.report.catalogue import FORMS, USUAL_WIDTH, entry, table


class Techniques(Command):
    """Lists techniques of Green AI, or tells about one."""

    name = "jupyter-green techniques"
    description = """List techniques that save energy, or tell about one: what it is, what it was
    seen to save and at which price, how strong the evidence is, and who says so.

    The figures are those of the sources, on their machines. The names are tags for
    %%energy --technique.
    """
    examples = """
        jupyter green techniques
        jupyter green techniques --stage training
        jupyter green techniques mixed-precision
        jupyter green techniques --format markdown > techniques.md
    """
    most_arguments = 1
    aliases = options("Techniques", stage="stage", format="format")

    stage = Enum(
        catalogue.STAGES,
        None,
        allow_none=True,
        help=f"Stage of the lifecycle: {', '.join(catalogue.STAGES)}.",
    ).tag(config=True)
    format = Enum(FORMS, "text", help="text or markdown.").tag(config=True)

    def run(self) -> None:
        """Print the catalogue, or one of its entries."""
        width = shutil.get_terminal_size((USUAL_WIDTH, 24)).columns
        if self.argument is None:
            print(table(self._listed(), self.format, width=width))
        elif self.stage:
            raise usage("give a technique or --stage, not both")
        else:
            print(entry(catalogue.technique(self.argument), self.format, width=width))

    def _listed(self) -> tuple[catalogue.Technique, ...]:
        return catalogue.for_stage(self.stage) if self.stage else catalogue.techniques()
