"""Log groups, alarms and dashboards."""

from __future__ import annotations

import json

from hyperframes_provider.local.cloudformation.resources.base import Made, Properties, ResourceError, ResourceType, fit


class LogGroup(ResourceType):
    """A log group and its retention."""

    name = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    known = frozenset({"LogGroupName", "RetentionInDays", "KmsKeyId"})
    fixed = frozenset({"LogGroupName"})
    longest_name = 512

    def _create(self, name: str, properties: Properties) -> Made:
        key = {"kmsKeyId": properties["KmsKeyId"]} if "KmsKeyId" in properties else {}
        self._client("logs").create_log_group(logGroupName=name, **key)
        return self._update(name, properties, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("logs")
        if "RetentionInDays" in new:
            client.put_retention_policy(logGroupName=physical_id, retentionInDays=int(new["RetentionInDays"]))
        elif "RetentionInDays" in old:
            client.delete_retention_policy(logGroupName=physical_id)
        if new.get("KmsKeyId") != old.get("KmsKeyId"):
            if "KmsKeyId" in new:
                client.associate_kms_key(logGroupName=physical_id, kmsKeyId=new["KmsKeyId"])
            else:
                client.disassociate_kms_key(logGroupName=physical_id)
        account = self._client("sts").get_caller_identity()["Account"]
        return Made(physical_id, {"Arn": f"arn:aws:logs:{self._region}:{account}:log-group:{physical_id}:*"})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("logs").delete_log_group(logGroupName=physical_id)


class Alarm(ResourceType):
    """A metric alarm. The endpoint stores it but has no metrics that would trigger it."""

    name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    known = frozenset({"AlarmName", "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "Metrics"})
    known |= {"EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions"}
    fixed = frozenset({"AlarmName"})
    longest_name = 255

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        client = self._client("cloudwatch")
        client.put_metric_alarm(**fit(client, "put_metric_alarm", {**new, "AlarmName": physical_id}))
        alarm = client.describe_alarms(AlarmNames=[physical_id])["MetricAlarms"][0]
        return Made(physical_id, {"Arn": alarm["AlarmArn"]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("cloudwatch").delete_alarms(AlarmNames=[physical_id])


class Dashboard(ResourceType):
    """A dashboard. The endpoint stores it but draws nothing."""

    name = "AWS::CloudWatch::Dashboard"
    name_property = "DashboardName"
    known = frozenset({"DashboardName", "DashboardBody"})
    fixed = frozenset({"DashboardName"})
    attributes = frozenset()
    longest_name = 255

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        try:
            json.loads(new["DashboardBody"])
        except ValueError as error:
            raise ResourceError(f"The field DashboardBody must be a valid JSON object: {error}") from error
        self._client("cloudwatch").put_dashboard(DashboardName=physical_id, DashboardBody=new["DashboardBody"])
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("cloudwatch").delete_dashboards(DashboardNames=[physical_id])
