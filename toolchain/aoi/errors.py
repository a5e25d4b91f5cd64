"""What goes wrong, in the words of the person who has to put it right.

Every message names the object, the value, the limit and the way out. The command line prints it as one line and
leaves with ``exit_code``; library users catch :class:`AoiError`.
"""

from __future__ import annotations


class AoiError(Exception):
    """Bad input. The command line leaves with exit code 2."""

    exit_code = 2


class ConfigError(AoiError):
    """A configuration has an unknown key, a wrong type or a value out of range."""


class DataError(AoiError):
    """Recordings are missing, damaged or do not fit the network."""


class WriteError(DataError):
    """A file cannot be written: a folder that is read-only, a disk that is full, a name that something else has."""


class NetXError(AoiError):
    """A network file is damaged, or holds what NetX or the chip cannot execute."""


class MissingDependency(AoiError):
    """A package that the core does without is not installed; the message says what installs it."""


class CheckFailed(AoiError):
    """A check ran and found a difference: exit code 1."""

    exit_code = 1


class DeployError(AoiError):
    """A deployment broke off while it ran: exit code 1."""

    exit_code = 1
