"""The errors that aoi raises. Catch :class:`AoiError` for all of them.

Every message names the object, the value, the limit and the remedy, in one line. The command line prints it and exits
with ``exit_code``.
"""

from __future__ import annotations


class AoiError(Exception):
    """Bad input: exit code 2."""

    exit_code = 2


class ConfigError(AoiError):
    """A configuration has an unknown key, a wrong type or a value out of range."""


class DataError(AoiError):
    """Recordings or arguments are missing, damaged, out of range or do not fit the network."""


class WriteError(DataError):
    """A file cannot be written: read-only folder, full disk, or something else has that name."""


class NetXError(AoiError):
    """A network file is damaged, or describes what NetX or the chip cannot execute."""


class MissingDependency(AoiError):
    """A package that the core does without is not installed; the message says what installs it."""


class CheckFailed(AoiError):
    """A check ran and failed: exit code 1."""

    exit_code = 1


class DeployError(AoiError):
    """A deployment failed while it ran: exit code 1."""

    exit_code = 1
