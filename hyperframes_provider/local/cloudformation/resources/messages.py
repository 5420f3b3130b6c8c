"""Event rules, topics and queues, with the policies that let AWS services use them."""

from __future__ import annotations

import json
from typing import Any

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceType, fit


class Rule(ResourceType):
    """A rule of the default event bus, with its targets."""

    name = "AWS::Events::Rule"
    name_property = "Name"
    known = frozenset({"Name", "Description", "EventPattern", "State", "Targets"})
    fixed = frozenset({"Name"})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("events")
        pattern = json.dumps(new["EventPattern"])
        description = new.get("Description", "")
        arn = client.put_rule(Name=physical_id, EventPattern=pattern, State=new.get("State", "ENABLED"), Description=description)["RuleArn"]
        kept = {target["Id"] for target in new.get("Targets", [])}
        if gone := [target["Id"] for target in old.get("Targets", []) if target["Id"] not in kept]:
            client.remove_targets(Rule=physical_id, Ids=gone)
        if kept:
            client.put_targets(**fit(client, "put_targets", {"Rule": physical_id, "Targets": new["Targets"]}))
        return Made(physical_id, {"Arn": arn})

    def _delete(self, physical_id: str, properties: Properties) -> None:
        client = self._client("events")
        if targets := properties.get("Targets", []):
            client.remove_targets(Rule=physical_id, Ids=[target["Id"] for target in targets])
        client.delete_rule(Name=physical_id)


class Topic(ResourceType):
    """An SNS topic."""

    name = "AWS::SNS::Topic"
    name_property = "TopicName"
    known = frozenset({"TopicName", "DisplayName", "KmsMasterKeyId"})
    fixed = frozenset({"TopicName"})
    attributes = frozenset({"TopicArn", "TopicName"})
    longest_name = 256
    _ATTRIBUTES = ("DisplayName", "KmsMasterKeyId")

    def _create(self, name: str, properties: Properties) -> Made:
        return self._update(self._client("sns").create_topic(Name=name)["TopicArn"], {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        for name in self._ATTRIBUTES:
            if name in new or name in old:
                self._client("sns").set_topic_attributes(TopicArn=physical_id, AttributeName=name, AttributeValue=new.get(name, ""))
        return Made(physical_id, {"TopicArn": physical_id, "TopicName": physical_id.rpartition(":")[2]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("sns").delete_topic(TopicArn=physical_id)


class TopicPolicy(ResourceType):
    """Permissions to publish to topics. Without this policy, only the topic's account may publish."""

    name = "AWS::SNS::TopicPolicy"
    known = frozenset({"Topics", "PolicyDocument"})
    attributes = frozenset()

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        self._put(new["Topics"], new["PolicyDocument"])
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._put(properties["Topics"], {"Version": "2012-10-17", "Statement": []})

    def _put(self, topics: list[str], document: Any) -> None:
        for topic in topics:
            self._client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document))


class Queue(ResourceType):
    """An SQS queue; `Ref` gives its URL."""

    name = "AWS::SQS::Queue"
    name_property = "QueueName"
    known = frozenset({"QueueName", "MessageRetentionPeriod", "SqsManagedSseEnabled"})
    fixed = frozenset({"QueueName"})
    attributes = frozenset({"Arn", "QueueName", "QueueUrl"})
    longest_name = 80

    def _create(self, name: str, properties: Properties) -> Made:
        return self._update(self._client("sqs").create_queue(QueueName=name)["QueueUrl"], {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        client = self._client("sqs")
        client.set_queue_attributes(
            QueueUrl=physical_id,
            Attributes={
                "MessageRetentionPeriod": str(new.get("MessageRetentionPeriod", 345_600)),
                "SqsManagedSseEnabled": str(new.get("SqsManagedSseEnabled", True)).lower(),
            },
        )
        arn = client.get_queue_attributes(QueueUrl=physical_id, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return Made(physical_id, {"Arn": arn, "QueueName": arn.rpartition(":")[2], "QueueUrl": physical_id})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("sqs").delete_queue(QueueUrl=physical_id)


class QueuePolicy(ResourceType):
    """Permissions to send to queues."""

    name = "AWS::SQS::QueuePolicy"
    known = frozenset({"Queues", "PolicyDocument"})
    attributes = frozenset()

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        self._put(new["Queues"], json.dumps(new["PolicyDocument"]))
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._put(properties["Queues"], "")

    def _put(self, queues: list[str], document: str) -> None:
        for queue in queues:
            self._client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document})
