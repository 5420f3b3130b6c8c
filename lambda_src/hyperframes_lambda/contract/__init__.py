"""The wire: events, results, render configuration, plan manifest and the error table.

Imported by the provider as well as by the Lambda, so it depends on pydantic alone and imports nothing else of the package.
"""
