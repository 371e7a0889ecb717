"""Errors in a user's input; every message is one or two sentences that can be shown unchanged."""

import errno
import logging
import secrets

log = logging.getLogger(__name__)


class UserError(Exception):
    """States the value, what is allowed and what to do; the CLI exits with 2 and the app shows the text."""


class Unexpected(UserError):
    """An error of the program; the log has its traceback under the id in the sentence."""


class VideoError(UserError):
    """A file that cannot be read as a video."""


class LabelError(UserError):
    """Class names, label files or descriptions that cannot be used."""


class CheckpointError(UserError):
    """A model folder or weights file that does not match its configuration."""


class ConfigError(UserError):
    """A training or data configuration with a wrong key or value."""


def as_user_error(error: Exception) -> UserError:
    """Any error as a sentence; one that nobody foresaw gets an id under which the log has its traceback."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError("The disk is full; free some space, then try again.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UserError("The name of a file is too long; shorten it to 100 characters.")
    number = secrets.token_hex(3)
    log.error("unexpected error %s", number, exc_info=error)
    return Unexpected(f"An unexpected error occurred ({type(error).__name__}, id {number}); please report it.")
