"""ffmpeg and PNG files: encode segments, join them without re-encoding, verify what came out.

Works on paths and frame numbers. What a frame shows is `browser`'s business, which frames make a segment is the plan's.
"""
