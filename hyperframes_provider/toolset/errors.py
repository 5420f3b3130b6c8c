"""The one exception of the setup."""

from __future__ import annotations


class ToolsetError(Exception):
    """A part cannot be fetched, differs from its pin, or does not run.

    :param message: the problem, with the part's name
    :param hint: the next command to type
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message}\n{hint}")
        self.message = message
        self.hint = hint
