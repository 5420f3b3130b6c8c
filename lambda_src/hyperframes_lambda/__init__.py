"""The HyperFrames render engine and its AWS Lambda entry.

Nothing here imports Airflow. The three roles (`plan`, `render_chunk`, `assemble`) are functions over local folders; `entry` adds S3 and
the wire, `__main__` runs them on one machine.
"""

__version__ = "0.1.0"
