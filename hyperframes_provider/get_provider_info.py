"""The description that Airflow's provider manager reads: the provider's modules and extra links."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "HyperFrames"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as in Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "hyperframes-provider",
        "name": "HyperFrames",
        "description": "Render HTML compositions to video at scale, on AWS Lambda and Step Functions.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["hyperframes_provider.operators.render", "hyperframes_provider.operators.stack"],
            }
        ],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["hyperframes_provider.sensors.render"]}],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["hyperframes_provider.hooks.hyperframes"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["hyperframes_provider.triggers.render"]}],
        "extra-links": [
            "hyperframes_provider.links.render.RenderExecutionLink",
            "hyperframes_provider.links.render.RenderLogsLink",
            "hyperframes_provider.links.render.RenderOutputLink",
        ],
    }
