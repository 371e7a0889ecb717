"""What can be wrong with a user's input; every message is one sentence or two that can be shown as it is."""


class UserError(Exception):
    """Says what came, what is allowed and what to do; the CLI exits with 2 and the app shows the text."""


class VideoError(UserError):
    """A file that cannot be read as a video."""


class LabelError(UserError):
    """Class names, label files or descriptions that cannot be used."""


class CheckpointError(UserError):
    """A model folder or weights file that does not hold what its configuration says."""


class ConfigError(UserError):
    """A training or data configuration with a wrong key or value."""
