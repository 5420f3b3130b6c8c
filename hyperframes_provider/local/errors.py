"""The endpoint's error."""


class EndpointError(RuntimeError):
    """The embedded endpoint cannot start, stop or run a function; the message says why and what to do."""
