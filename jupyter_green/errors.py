"""The errors of jupyter_green.

::

    JupyterGreenError
    ├── JournalError            a journal cannot be read
    │   ├── NotAJournal         the file is something else
    │   ├── NewerFormat         written by a newer major version
    │   └── SessionNotFound     no session answers to that name
    ├── SettingError            a setting has a value that cannot be used   (also ValueError)
    │   └── UnknownPlace        no carbon intensity is known for that place
    ├── MetricError             a logged metric is no number               (also TypeError)
    ├── RecorderError           the recorder cannot be started or reached
    ├── ReportError             a session cannot be written in the form that was asked for
    ├── StatisticsError         figures from which nothing can be computed (also ValueError)
    ├── MissingPackage          an optional package is absent              (also ImportError)
    ├── IntensityUnavailable    a provider of carbon intensities cannot be had now
    └── UnreadableCounter       a source cannot be read now: missing, never zero

Every message says what happened, the value that was met, and the remedy.
"""

from __future__ import annotations


class JupyterGreenError(Exception):
    """Base of every error that jupyter_green raises on purpose."""


class JournalError(JupyterGreenError):
    """A session journal cannot be read."""


class NotAJournal(JournalError):
    """The file does not begin as a session journal does."""


class NewerFormat(JournalError):
    """The journal was written in a newer major version of the format."""


class SessionNotFound(JournalError):
    """No recorded session answers to the name, prefix or path that was given."""


class SettingError(JupyterGreenError, ValueError):
    """A setting has a value that cannot be used."""


class UnknownPlace(SettingError):
    """No carbon intensity is known for the place that was given."""


class MetricError(JupyterGreenError, TypeError):
    """A metric that was logged is no number."""


class RecorderError(JupyterGreenError):
    """The recorder process cannot be started or does not answer."""


class ReportError(JupyterGreenError):
    """A session cannot be written in the form, or to the file, that was asked for."""


class StatisticsError(JupyterGreenError, ValueError):
    """Figures from which a statistic cannot be computed: too few of them, or not finite."""


class MissingPackage(JupyterGreenError, ImportError):
    """An optional package is not installed; the message names the pip line."""


class IntensityUnavailable(JupyterGreenError):
    """A provider of carbon intensities gives no value now.

    Attributes:
        again_s: seconds after which the provider wants to be asked again; None: it did not say.
        refused: it will not answer this question (token, zone, address), however often it is put.
    """

    def __init__(self, reason: str, *, again_s: float | None = None, refused: bool = False) -> None:
        super().__init__(reason)
        self.again_s = again_s
        self.refused = refused


class UnreadableCounter(JupyterGreenError):
    """A counter cannot be read now.

    Attributes:
        reason: what happened, in one line, with the measured value where there is one.
        remedy: what the user can do about it, or an empty string.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason if not remedy else f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
