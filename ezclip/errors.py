"""Errors in a user's input; every message is one or two sentences that can be shown unchanged."""


class UserError(Exception):
    """States the value, what is allowed and what to do; the CLI exits with 2 and the app shows the text."""


class VideoError(UserError):
    """A file that cannot be read as a video."""


class LabelError(UserError):
    """Class names, label files or descriptions that cannot be used."""


class CheckpointError(UserError):
    """A model folder or weights file that does not match its configuration."""


class ConfigError(UserError):
    """A training or data configuration with a wrong key or value."""
