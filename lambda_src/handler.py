"""What the function's `Handler` setting, `handler.handler`, names."""

from hyperframes_lambda.entry.handler import handler, stay_ready

__all__ = ["handler"]

stay_ready()
