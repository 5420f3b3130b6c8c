"""The wire: events, results, render configuration, plan manifest and the error table.

The provider imports it as well as the Lambda, so it depends on pydantic alone and imports nothing else of the package.
"""
