"""The end of a render as the outside world hears of it: webhook, topic, lost signals, metrics; and what nobody must hear."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook

from hyperframes_provider.client.aws.connect import Connect, connect_local
from hyperframes_provider.client.execution.webhooks import WebhookMessage, WebhookType, verify_signature
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackOutputs
from hyperframes_provider.local.endpoint import down, up
from tests.cfn.receiver import Post, Receiver, make_certificate, receive

NAME = "hyperframes-signals"
SIGNING_SECRET = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
BOX = """<!doctype html><html><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="160" data-height="90" data-duration="0.25">
<div style="position:absolute;width:20px;height:20px;background:red"></div></div>%s</body></html>"""
THROWS = """<script>
const { title, card } = window.__hyperframes.getVariables();
fetch("https://studio:pass-word-1@127.0.0.1:9/film.mp4?X-Amz-Signature=signed-secret-1").catch(console.error);
console.error("cannot show " + title);
throw new Error(`nothing fits ${title} on ${card} from https://studio:pass-word-1@cdn.example/a.js?X-Amz-Signature=signed-secret-1&v=2`);
</script>"""
SECRETS = ("Quarterly loss: 3.2 million", "4111111111111111", "pass-word-1", "signed-secret-1")


@dataclass(frozen=True)
class Studio:
    """A stack with every signal, its receiver, and a queue that the topic is subscribed to."""

    connect: Connect
    stack: StackOutputs
    receiver: Receiver
    inbox: str

    def start(self, name: str, *, page: str = BOX % "", variables: dict[str, Any] | None = None) -> str:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            member = tarfile.TarInfo("index.html")
            member.size = len(page.encode())
            tar.addfile(member, io.BytesIO(page.encode()))
        bucket = self.stack.bucket
        self.connect("s3").put_object(Bucket=bucket, Key=f"sites/{name}/project.tar.gz", Body=buffer.getvalue())
        request = {
            "ProjectS3Uri": f"s3://{bucket}/sites/{name}/project.tar.gz",
            "PlanOutputS3Prefix": f"s3://{bucket}/renders/{name}/",
            "OutputS3Uri": f"s3://{bucket}/outputs/{name}.mp4",
            "Config": {"fps": 24, "quality": "draft", "variables": variables or {}},
        }
        answer = self.connect("stepfunctions").start_execution(
            stateMachineArn=self.stack.state_machine_arn, name=f"execution-{name}", input=json.dumps(request)
        )
        return str(answer["executionArn"])

    def heard(self) -> tuple[Post, WebhookMessage]:
        post = self.receiver.next()
        return post, verify_signature(post.body, post.headers, SIGNING_SECRET)

    def notification(self) -> str:
        return str(json.loads(self.message(self.inbox))["Message"])

    def message(self, queue: str) -> str:
        found: list[dict[str, Any]] = eventually(
            lambda: self.connect("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")
        )
        self.connect("sqs").delete_message(QueueUrl=queue, ReceiptHandle=found[0]["ReceiptHandle"])
        return str(found[0]["Body"])

    def log(self, function: str) -> list[str]:
        pages = self.connect("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{NAME}-{function}")
        return [event["message"] for page in pages for event in page["events"]]


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("signals")
    certificate = make_certificate(folder)
    with pytest.MonkeyPatch.context() as surroundings, receive(certificate) as receiver:
        # Whom the functions trust; nothing else in this endpoint speaks TLS.
        surroundings.setenv("SSL_CERT_FILE", str(certificate))
        info = up(outputs=folder / "outputs", state_dir=folder)
        try:
            connect = connect_local(info.url)
            secret = connect("secretsmanager").create_secret(Name="studio/webhook", SecretString=SIGNING_SECRET)["ARN"]
            parameters = {
                "CoordinatorMemoryMb": 4096,
                "NotificationTopicArn": "own",
                "WebhookUrl": f"{receiver.url}/hooks?channel=renders",
                "WebhookSecretArn": secret,
            }
            stack = deploy_stack(connect, NAME, parameters=parameters).outputs
            inbox = connect("sqs").create_queue(QueueName="inbox")["QueueUrl"]
            arn = connect("sqs").get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            connect("sns").subscribe(TopicArn=stack.topic_arn, Protocol="sqs", Endpoint=arn)
            yield Studio(connect, stack, receiver, inbox)
        finally:
            down(state_dir=folder)


def test_a_render_that_is_done(studio: Studio) -> None:
    studio.receiver.answers[:] = [503]
    execution = studio.start("done")
    refused, _ = studio.heard()
    post, message = studio.heard()
    assert refused.headers["webhook-id"] == post.headers["webhook-id"], "the receiver must know the repetition for one"
    assert refused.body == post.body
    assert (post.path, post.headers["content-type"]) == ("/hooks?channel=renders", "application/json")
    # A library of somebody else finds the signature right, too, and a changed body wrong.
    assert Webhook(SIGNING_SECRET).verify(post.body, post.headers) == json.loads(post.body)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SIGNING_SECRET).verify(post.body.replace(b"done", b"gone"), post.headers)

    assert message.type is WebhookType.SUCCEEDED
    data = message.data
    assert (data.render_id, data.execution_name, data.execution_arn) == ("done", "execution-done", execution)
    assert data.output is not None
    assert (data.output["OutputS3Uri"], data.output["FramesEncoded"]) == (f"s3://{studio.stack.bucket}/outputs/done.mp4", 6)
    assert data.started_at < data.stopped_at == message.timestamp
    assert (data.error, data.cause) == (None, None)
    sentence = studio.notification()
    assert sentence == f"Render execution-done of {NAME}: SUCCEEDED . More by: hyperframes-airflow progress {execution}"

    # Both functions told of their part, under the stack's name.
    metrics = [json.loads(line) for function in ("render", "coordinator") for line in studio.log(function) if '"_aws"' in line]
    told = {entry["role"]: entry for entry in metrics}
    assert set(told) == {"plan", "renderChunk", "assemble"}
    assert {entry["service"] for entry in metrics} == {NAME}
    assert (told["renderChunk"]["Frames"], told["renderChunk"]["render"]) == ([6.0], "renders/done/")
    assert told["renderChunk"]["EstimatedCost"][0] > 0 < told["renderChunk"]["FramesPerSecond"][0]


def test_nobody_hears_the_secrets_of_a_render_that_fails(studio: Studio) -> None:
    execution = studio.start("broken", page=BOX % THROWS, variables={"title": SECRETS[0], "card": 4111111111111111})
    post, message = studio.heard()
    assert (message.type, message.data.error, message.data.output) == (WebhookType.FAILED, "COMPOSITION_ERROR", None)
    assert message.data.cause is not None
    assert "nothing fits [variables.title] on [variables.card] from https://***@cdn.example/a.js?X-Amz-Signature=***&v=***" in (
        message.data.cause
    )
    described = studio.connect("stepfunctions").describe_execution(executionArn=execution)
    lines = studio.log("coordinator")
    failed = next(json.loads(line) for line in lines if '"message":"failed"' in line.replace('": "', '":"'))
    assert (failed["render"], failed["execution"], failed["code"]) == ("renders/broken/", "execution-broken", "COMPOSITION_ERROR")
    metric = next(json.loads(line) for line in lines if '"_aws"' in line and '"Failure"' in line)
    assert (metric["role"], metric["code"], metric["Failure"], metric["RetryableFailure"]) == ("plan", "COMPOSITION_ERROR", [1.0], [0.0])

    said = [post.body.decode(), described["error"], described["cause"], studio.notification(), *lines, *studio.log("webhook")]
    assert [(secret, text) for secret in SECRETS for text in said if secret in text] == []


def test_a_render_that_is_stopped(studio: Studio) -> None:
    execution = studio.start("stopped")
    studio.connect("stepfunctions").stop_execution(executionArn=execution, error="RENDER_CANCELLED", cause="by a test")
    _, message = studio.heard()
    assert (message.type, message.data.error, message.data.cause) == (WebhookType.ABORTED, "RENDER_CANCELLED", "by a test")
    assert "ABORTED RENDER_CANCELLED" in studio.notification()


def test_a_webhook_that_cannot_be_delivered_is_kept(studio: Studio) -> None:
    # A redirect is an answer like any other that is not 2xx: what it points to is not told.
    studio.receiver.answers[:] = [500, 302, 404]
    execution = studio.start("lost")
    studio.connect("stepfunctions").stop_execution(executionArn=execution)
    posts = [studio.receiver.next() for _ in range(3)]
    assert {post.path for post in posts} == {"/hooks?channel=renders"}
    assert len({post.headers["webhook-id"] for post in posts}) == 1
    queue = studio.connect("sqs").get_queue_url(QueueName=f"{NAME}-lost-signals")["QueueUrl"]
    lost = json.loads(studio.message(queue))
    assert lost["requestPayload"]["detail"]["executionArn"] == execution
    assert lost["responsePayload"]["errorMessage"] == "127.0.0.1 answered 404"
    assert lost["responsePayload"]["errorType"] == "WebhookNotDelivered"
