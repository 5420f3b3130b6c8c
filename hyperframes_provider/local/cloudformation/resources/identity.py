"""Roles. The endpoint authorises nobody, but stores them for inspection."""

from __future__ import annotations

import json

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceType


class Role(ResourceType):
    """A role with inline policies."""

    name = "AWS::IAM::Role"
    name_property = "RoleName"
    known = frozenset({"RoleName", "AssumeRolePolicyDocument", "Description", "Path", "Policies"})
    fixed = frozenset({"RoleName", "Path"})
    attributes = frozenset({"Arn", "RoleId"})

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("iam")
        client.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Path=properties.get("Path", "/"),
            Description=properties.get("Description", ""),
        )
        return self._update(name, {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("iam")
        client.update_assume_role_policy(RoleName=physical_id, PolicyDocument=json.dumps(new["AssumeRolePolicyDocument"]))
        kept = {policy["PolicyName"] for policy in new.get("Policies", [])}
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in kept:
                client.delete_role_policy(RoleName=physical_id, PolicyName=policy["PolicyName"])
        for policy in new.get("Policies", []):
            client.put_role_policy(
                RoleName=physical_id, PolicyName=policy["PolicyName"], PolicyDocument=json.dumps(policy["PolicyDocument"])
            )
        role = client.get_role(RoleName=physical_id)["Role"]
        return Made(physical_id, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        client = self._client("iam")
        for policy in client.list_role_policies(RoleName=physical_id)["PolicyNames"]:
            client.delete_role_policy(RoleName=physical_id, PolicyName=policy)
        client.delete_role(RoleName=physical_id)


class RolePolicy(ResourceType):
    """One inline policy of a role."""

    name = "AWS::IAM::RolePolicy"
    known = frozenset({"PolicyName", "RoleName", "PolicyDocument"})
    fixed = frozenset({"PolicyName", "RoleName"})
    attributes = frozenset()

    def _create(self, name: str, properties: Properties) -> Made:  # noqa: ARG002
        return self._update(f"{properties['PolicyName']}|{properties['RoleName']}", {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        self._client("iam").put_role_policy(
            RoleName=new["RoleName"], PolicyName=new["PolicyName"], PolicyDocument=json.dumps(new["PolicyDocument"])
        )
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("iam").delete_role_policy(RoleName=properties["RoleName"], PolicyName=properties["PolicyName"])
