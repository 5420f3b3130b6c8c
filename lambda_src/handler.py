"""What the function's `Handler` setting, `handler.handler`, names."""

from hyperframes_lambda.handler import handler, stay_ready

__all__ = ["handler"]

stay_ready()
