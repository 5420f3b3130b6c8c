"""Entry module of the code ZIP, named by the function's `Handler` setting, `handler.handler`."""

from hyperframes_lambda.entry.handler import handler, stay_ready

__all__ = ["handler"]

stay_ready()
