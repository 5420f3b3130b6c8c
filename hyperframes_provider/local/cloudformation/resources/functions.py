"""Functions, permissions to invoke them, and the handling of failed events."""

from __future__ import annotations

from typing import ClassVar

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceError, ResourceType, fit


class Function(ResourceType):
    """A Lambda function whose code is a ZIP in S3, or an image, which the endpoint stores but cannot run."""

    name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    _CONFIGURATION: ClassVar[frozenset[str]] = frozenset({"Description", "Runtime", "Handler", "Role", "MemorySize", "Timeout"})
    _CONFIGURATION |= {"EphemeralStorage", "TracingConfig", "Environment", "ImageConfig", "VpcConfig"}
    known = _CONFIGURATION | {"FunctionName", "Architectures", "Code", "PackageType", "ReservedConcurrentExecutions"}
    fixed = frozenset({"FunctionName", "PackageType"})

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("lambda")
        rest = {key: value for key, value in properties.items() if key not in ("FunctionName", "ReservedConcurrentExecutions")}
        arn = client.create_function(**fit(client, "create_function", {"FunctionName": name, **rest}))["FunctionArn"]
        self._reserve(name, {}, properties)
        return Made(name, {"Arn": arn})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("lambda")
        if (old.get("Code"), old.get("Architectures")) != (new["Code"], new.get("Architectures")):
            code = {"FunctionName": physical_id, **new["Code"]}
            client.update_function_code(**fit(client, "update_function_code", code))
        # A removed property returns to its default; the update operation would keep its value.
        defaults = {"Description": "", "MemorySize": 128, "Timeout": 3, "TracingConfig": {"Mode": "PassThrough"}}
        defaults |= {"EphemeralStorage": {"Size": 512}, "Environment": {"Variables": {}}}
        defaults |= {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}} if "VpcConfig" in old else {}
        configuration = {**defaults, **{key: value for key, value in new.items() if key in self._CONFIGURATION}}
        arn = client.update_function_configuration(
            **fit(client, "update_function_configuration", {"FunctionName": physical_id, **configuration})
        )["FunctionArn"]
        self._reserve(physical_id, old, new)
        return Made(physical_id, {"Arn": arn})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("lambda").delete_function(FunctionName=physical_id)

    def _reserve(self, name: str, old: Properties, new: Properties) -> None:
        client = self._client("lambda")
        if "ReservedConcurrentExecutions" in new:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(new["ReservedConcurrentExecutions"]))
        elif "ReservedConcurrentExecutions" in old:
            client.delete_function_concurrency(FunctionName=name)


class Permission(ResourceType):
    """One statement of a function's policy. It can only be replaced."""

    name = "AWS::Lambda::Permission"
    known = frozenset({"Action", "FunctionName", "Principal", "SourceArn", "SourceAccount"})
    fixed = known
    attributes = frozenset({"Id"})

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("lambda")
        client.add_permission(**fit(client, "add_permission", {**properties, "StatementId": name}))
        return Made(name, {"Id": name})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        return Made(physical_id, {"Id": physical_id})

    def _delete(self, physical_id: str, properties: Properties) -> None:
        self._client("lambda").remove_permission(FunctionName=properties["FunctionName"], StatementId=physical_id)


class EventInvokeConfig(ResourceType):
    """Retries of a failed asynchronous invocation, and the destination of its event afterwards."""

    name = "AWS::Lambda::EventInvokeConfig"
    known = frozenset({"FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"})
    fixed = frozenset({"FunctionName", "Qualifier"})
    attributes = frozenset()

    def _create(self, name: str, properties: Properties) -> Made:
        if properties["Qualifier"] != "$LATEST":
            raise ResourceError("The embedded endpoint does not support versions and aliases of functions: Qualifier must be $LATEST")
        return self._update(name, {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("lambda")
        if old:
            self._delete(physical_id, old)  # moto would keep the first of two
        arguments = {name: value for name, value in new.items() if name != "Qualifier"}
        client.put_function_event_invoke_config(**fit(client, "put_function_event_invoke_config", arguments))
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("lambda").delete_function_event_invoke_config(FunctionName=properties["FunctionName"])
