"""The error that the endpoint reports to its user."""


class EndpointError(RuntimeError):
    """The embedded endpoint cannot start, stop or run a function; the message says why and what to do."""
