"""`smoke` and `eval`: check a deployed renderer, and measure its speed and cost.

Uses `client/` and the toolset of this machine; knows neither Airflow nor the command line.
"""
