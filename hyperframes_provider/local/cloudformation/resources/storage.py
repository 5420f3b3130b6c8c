"""Buckets and their policies."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceError, ResourceType, fit


class Bucket(ResourceType):
    """A bucket; it must be empty to be deleted."""

    name = "AWS::S3::Bucket"
    name_property = "BucketName"
    attributes = frozenset({"Arn", "DomainName", "RegionalDomainName"})
    fixed = frozenset({"BucketName"})
    longest_name = 63
    _SETTINGS: ClassVar[dict[str, tuple[str, str, str]]] = {
        # property: operation that sets it, its argument, operation that removes it
        "BucketEncryption": ("put_bucket_encryption", "ServerSideEncryptionConfiguration", "delete_bucket_encryption"),
        "LifecycleConfiguration": ("put_bucket_lifecycle_configuration", "LifecycleConfiguration", "delete_bucket_lifecycle"),
        "OwnershipControls": ("put_bucket_ownership_controls", "OwnershipControls", "delete_bucket_ownership_controls"),
        "PublicAccessBlockConfiguration": ("put_public_access_block", "PublicAccessBlockConfiguration", "delete_public_access_block"),
    }
    known = frozenset({"BucketName", *_SETTINGS})

    def _generated_name(self, stack: str, logical_id: str) -> str:
        return super()._generated_name(stack, logical_id).lower()

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("s3")
        client.create_bucket(
            Bucket=name, **({} if self._region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self._region}})
        )
        try:
            return self._update(name, {}, properties)
        except (ResourceError, ClientError):
            client.delete_bucket(Bucket=name)
            raise

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("s3")
        for name, (put, argument, remove) in self._SETTINGS.items():
            if name in new:
                value = {"BucketEncryption": _encryption, "LifecycleConfiguration": _lifecycle}.get(name, dict)(new[name])
                getattr(client, put)(Bucket=physical_id, **fit(client, put, {argument: value}))
            elif name in old:
                getattr(client, remove)(Bucket=physical_id)
        return Made(
            physical_id,
            {
                "Arn": f"arn:aws:s3:::{physical_id}",
                "DomainName": f"{physical_id}.s3.amazonaws.com",
                "RegionalDomainName": f"{physical_id}.s3.{self._region}.amazonaws.com",
            },
        )

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("s3").delete_bucket(Bucket=physical_id)


class BucketPolicy(ResourceType):
    """A bucket's policy."""

    name = "AWS::S3::BucketPolicy"
    known = frozenset({"Bucket", "PolicyDocument"})
    fixed = frozenset({"Bucket"})
    attributes = frozenset()

    def _create(self, name: str, properties: Properties) -> Made:  # noqa: ARG002
        return self._update(properties["Bucket"], {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        self._client("s3").put_bucket_policy(Bucket=physical_id, Policy=json.dumps(new["PolicyDocument"]))
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("s3").delete_bucket_policy(Bucket=physical_id)


def _encryption(value: Properties) -> dict[str, Any]:
    rules = []
    for rule in value["ServerSideEncryptionConfiguration"]:
        own = dict(rule)
        rules.append({"ApplyServerSideEncryptionByDefault": own.pop("ServerSideEncryptionByDefault"), **own})
    return {"Rules": rules}


def _lifecycle(value: Properties) -> dict[str, Any]:
    rules = []
    for rule in value["Rules"]:
        own = dict(rule)
        fitted: dict[str, Any] = {"Filter": {"Prefix": own.pop("Prefix", "")}}
        if "Id" in own:
            fitted["ID"] = own.pop("Id")
        if "ExpirationInDays" in own:
            fitted["Expiration"] = {"Days": own.pop("ExpirationInDays")}
        rules.append({**fitted, **own})
    return {"Rules": rules}
