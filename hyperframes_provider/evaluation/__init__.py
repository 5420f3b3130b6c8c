"""Whether a deployed renderer does what it should, and what it costs: `smoke` and `eval`, as the command line and others call them.

Stands on `client/` and on the toolset of this machine; knows neither Airflow nor the command line.
"""
