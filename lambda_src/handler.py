"""What the function's `Handler` setting, `handler.handler`, names."""

from hyperframes_lambda.handler import handler

__all__ = ["handler"]
