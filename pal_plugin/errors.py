"""Errors that say what is wrong, where, and which command mends it."""

from __future__ import annotations


class PalError(Exception):
    """Base of every error that a user can mend; commands print it as one paragraph and exit with status 2.

    Args:
        what: one sentence that names the thing and what is wrong with it.
        mend: the command or change that puts it right.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{_sentence(what)} {_sentence(mend)}")
        self.what = what
        self.mend = mend

    def __reduce__(self) -> tuple[type[PalError], tuple[str, str]]:
        """Pickle by the two parts, so that an error raised in a data worker arrives whole."""
        return type(self), (self.what, self.mend)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "…", ".")) else f"{text}."


class ConfigError(PalError):
    """A config, option or name that does not exist or does not fit."""


class DataError(PalError):
    """A data set that is missing, incomplete or not what it claims to be."""


class ChecksumError(DataError):
    """A file whose content is not the published one."""


class ImageError(DataError):
    """An image that cannot be decoded."""


class ManifestError(PalError):
    """Features, a graph or picks that index another data set than the one at hand."""


class FeatureError(PalError):
    """A feature file that is malformed or holds values that are not finite."""


class GraphError(PalError):
    """A similarity graph that is malformed, out of range or empty where edges are needed."""


class SelectionError(PalError):
    """A selection that cannot be made: budget, indices or labels out of range; or picks that cannot be read."""


class OracleError(PalError):
    """A question that cannot be asked, or an answer that does not fit it."""


class StoreError(OracleError):
    """A store of answers that is missing, damaged, locked, of another format, or cannot be written."""


class LossError(PalError):
    """A loss that is not defined on what it was given: shapes, weights, or a batch graph without edges."""


class CheckpointError(PalError):
    """A checkpoint that is unreadable or belongs to another architecture or run."""


class DeviceError(PalError):
    """A device that was asked for and is not there."""


class HostError(PalError):
    """No solo-learn, or one whose API is not known."""
