"""The panel in a cell's output: in Notebook 7, VS Code, Colab, and wherever else widgets work."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from anywidget import AnyWidget
from IPython import get_ipython
from traitlets import Unicode

from jupyter_green.errors import JupyterGreenError, RecorderError
from jupyter_green.notebook import extension, protocol
from jupyter_green.sessions.model import Session

NO_TRACKING = "nothing is tracked in this kernel: %load_ext jupyter_green begins a session"


def _module() -> str:
    """The panel as an ECMAScript module.

    Raises:
        RecorderError: this installation was made without it.
    """
    try:
        return files("jupyter_green").joinpath("inline/panel.js").read_text(encoding="utf-8")
    except OSError as error:
        raise RecorderError(
            f"this installation lacks the panel ({error.filename} cannot be read): install the "
            "project anew, with pip install --force-reinstall"
        ) from None


class EnergyPanel(AnyWidget):
    """The live panel as a widget: watts, kWh, CO2 and cells of this kernel's session.

    Begins to track if nothing does yet. A notebook that is saved, or made into HTML, keeps a
    table of the session in its place.

    Raises:
        RecorderError: there is no kernel (a terminal), or the panel was not installed.
    """

    _esm = _module()

    fallback = Unicode(help="The session as text, for a notebook without a kernel.").tag(sync=True)

    def __init__(self) -> None:
        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            raise RecorderError("EnergyPanel() needs a notebook; in a terminal use %green")
        # As %load_ext does, so that %unload_ext ends it.
        shell.extension_manager.load_extension("jupyter_green")
        self._shell = shell
        super().__init__()
        self.on_msg(self._received)
        extension.join(self)

    def _received(self, _: Any, content: Any, __: Any) -> None:
        panels = extension.panels_of(self._shell)
        if panels is not None:
            panels.receive(self, content)
        else:
            self.send(protocol.refused(content, NO_TRACKING))

    def send(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """To every view of this widget."""
        super().send(content, buffers=list(buffers))

    def close(self) -> None:
        """Remove the panel from all outputs."""
        extension.leave(self)
        super().close()

    def __repr__(self) -> str:
        session = self._session()
        return repr(session) if session is not None else f"<EnergyPanel: {NO_TRACKING}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and what stands in its place where there is none."""
        from jupyter_green.report import fragment, text  # noqa: PLC0415  (when it is shown)

        bundle: Any = super()._repr_mimebundle_(**kwargs)
        session = self._session()
        if bundle is None or session is None:
            return bundle
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        self.fallback = text.render(session)
        data |= {"text/plain": self.fallback, "text/html": fragment.render(session)}
        return data, metadata

    def _session(self) -> Session | None:
        try:
            return extension.session_of(self._shell)
        except JupyterGreenError:
            return None
