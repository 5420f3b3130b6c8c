"""ffmpeg and PNG files: encode segments, join them without re-encoding, and verify the result.

This package works on paths and frame numbers. `browser` decides what a frame shows, the plan which frames make a segment.
"""
