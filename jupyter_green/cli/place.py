"""``jupyter green place``: where the machine stands, for the carbon intensity."""

from __future__ import annotations

from traitlets import Bool

from jupyter_green.carbon.tables import ATTRIBUTION, intensity_of
from jupyter_green.carbon.timezone import guess
from jupyter_green.cli.base import Command, switches, usage
from jupyter_green.configurable import remember
from jupyter_green.units import format_number


class Place(Command):
    """Shows or sets the place whose electricity the machine uses."""

    name = "jupyter-green place"
    description = """Show or set where the machine stands: a country, a state of the USA or a
    cloud region.

    Its carbon intensity turns energy into CO2. The setting holds for all sessions to come;
    `jupyter green report --place` values those that are recorded.
    """
    examples = """
        jupyter green place            # what is set
        jupyter green place FR         # also FRA, France, or world for the world average
        jupyter green place US-CA      # a state of the USA
        jupyter green place aws:eu-west-3
        jupyter green place --unset
    """
    most_arguments = 1
    flags = switches("Place", unset=("unset", "Forget the place."))

    unset = Bool(False, help="Forget the place.").tag(config=True)

    def run(self) -> None:
        """Show, set or forget the place."""
        if self.unset and self.argument:
            raise usage("give a place or --unset, not both")
        if self.unset:
            print(f"The place is no longer set in {remember('place', None)}.")
        elif self.argument:
            intensity_of(self.argument)  # before it is written: an unknown place is an error
            print(f"Written to {remember('place', self.argument)}.")
        self._show()

    def _show(self) -> None:
        place = self.settings().place
        if place is None:
            print("No place is set, so CO2 is not shown: jupyter green place FR")
            guessed = guess()
            if guessed is not None:
                print(guessed.hint("jupyter green place"))
            return
        if self.unset or self.argument not in (None, place):
            # A setting of the environment or of the system may have the last word.
            print(f"But {place!r} is in force, from another configuration file:")
        intensity = intensity_of(place)
        print(
            f"{intensity.place}: {format_number(intensity.g_per_kwh)} g CO2e/kWh "
            f"({intensity.year}, {intensity.basis})\n{ATTRIBUTION}"
        )
