"""One family of errors for everything a user can put right.

The message says what is wrong, with the value, and the next command to try. ``motif.cli.run``
prints it without a traceback.
"""


class MotifError(Exception):
    """A problem whose message tells the user how to go on."""


class DamagedFileError(MotifError):
    """A file whose bytes are not what was written, or not what the place calls for."""


class ConfigError(MotifError):
    """A flag, or a combination of flags, that cannot work."""


class DatasetError(MotifError):
    """A pairs dataset that is missing, damaged or inconsistent."""


class ArchiveError(MotifError):
    """A dataset's archive that is missing, damaged or unsafe to unpack, or in the way."""


class PreferenceError(MotifError):
    """A label set that is missing, damaged, unusable or made for another dataset."""


class CheckpointError(MotifError):
    """A run folder or checkpoint that is missing, damaged or made with other settings."""


class MissingPackageError(MotifError):
    """An optional package that this stage needs is not installed."""


def reason(error: BaseException) -> str:
    """The first line of what another library says; its kind where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
