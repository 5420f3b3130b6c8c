"""State machines."""

from __future__ import annotations

from typing import Any

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceError, ResourceType, fit, lower_first


class StateMachine(ResourceType):
    """A state machine whose definition is a string or an object in S3."""

    name = "AWS::StepFunctions::StateMachine"
    name_property = "StateMachineName"
    known = frozenset({"StateMachineName", "StateMachineType", "RoleArn", "LoggingConfiguration", "TracingConfiguration"})
    known |= {"DefinitionString", "DefinitionS3Location", "DefinitionSubstitutions"}
    fixed = frozenset({"StateMachineName", "StateMachineType"})
    attributes = frozenset({"Arn", "Name"})
    longest_name = 80

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("stepfunctions")
        arguments = {"name": name, "type": properties.get("StateMachineType", "STANDARD"), **self._arguments(properties)}
        arn = client.create_state_machine(**fit(client, "create_state_machine", arguments))["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        client = self._client("stepfunctions")
        client.update_state_machine(**fit(client, "update_state_machine", {"stateMachineArn": physical_id, **self._arguments(new)}))
        return Made(physical_id, {"Arn": physical_id, "Name": physical_id.rpartition(":")[2]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("stepfunctions").delete_state_machine(stateMachineArn=physical_id)

    def _arguments(self, properties: Properties) -> dict[str, Any]:
        return {
            "definition": self._definition(properties),
            "roleArn": properties["RoleArn"],
            "loggingConfiguration": lower_first(properties.get("LoggingConfiguration", {"Level": "OFF"})),
            "tracingConfiguration": lower_first(properties.get("TracingConfiguration", {"Enabled": False})),
        }

    def _definition(self, properties: Properties) -> str:
        if ("DefinitionString" in properties) == ("DefinitionS3Location" in properties):
            raise ResourceError("Specify exactly one of DefinitionString and DefinitionS3Location")
        if "DefinitionS3Location" in properties:
            place = properties["DefinitionS3Location"]
            text: str = self._client("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])["Body"].read().decode()
        else:
            text = properties["DefinitionString"]
        for name, value in properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{name}}}", str(value))
        return text
