"""Errors caused by user input; every message is one or two sentences for the user."""

import errno
import logging
import secrets

log = logging.getLogger(__name__)


class UserError(Exception):
    """The message gives the value, what is allowed and what to do; the CLI exits with 2, the app shows the message."""


class UnexpectedError(UserError):
    """A bug; the log has its traceback under the id in the message."""


class VideoError(UserError):
    """A file that cannot be read as a video."""


class LabelError(UserError):
    """Class names, label files or descriptions that cannot be used."""


class CheckpointError(UserError):
    """A model folder or weights file that does not match its configuration."""


class ConfigError(UserError):
    """A training or data configuration with a wrong key or value."""


def as_user_error(error: Exception) -> UserError:
    """Convert any error to one with a user-facing message; a bug is logged with its traceback under an id."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError("The disk is full; free some space, then try again.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UserError("The name of a file is too long; shorten it to 100 characters.")
    number = secrets.token_hex(3)
    log.error("unexpected error %s", number, exc_info=error)
    return UnexpectedError(f"An unexpected error occurred ({type(error).__name__}, id {number}); please report it.")
