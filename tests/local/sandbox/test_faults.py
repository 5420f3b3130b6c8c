"""After a fault in the sandbox or in S3, the attempt has the right code, the next one continues, and the video is the same."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.local import endpoint
from tests.local.sandbox.fault_bench import CHUNKS, FRAMES, Bench, fill, wait_for, when
from tests.local.sandbox.fault_proxy import FaultProxy, Rule

UNPACKED = "hyperframes-tools-*[0-9a-f]"
SEGMENT, SIDECAR, BLOB = r"PUT .*/chunks/.*\.mp4$", r"PUT .*/chunks/.*\.mp4\.json$", r"GET .*/plan/blobs/"


@pytest.fixture(scope="module")
def bench(full_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    state = tmp_path_factory.mktemp("faults")
    info = endpoint.up(outputs=state / "outputs", state_dir=state / "state")
    proxy = FaultProxy(info.port)
    try:
        connect = connect_local(info.url)
        outputs = deploy_stack(connect, "faults", parameters={"ProjectName": "faults", "LambdaMemoryMb": "3008"}, code=full_zip).outputs
        made = Bench(connect, outputs.bucket, outputs.state_machine_arn, outputs.function_arn, info.pid, proxy)
        made.configure()
        undisturbed = made.plan()
        assert undisturbed.output["FramesEncoded"] == FRAMES
        yield made
    finally:
        proxy.close()
        endpoint.down(state / "state")


def require_same(bench: Bench, render: str, *, sent_twice: int = 0) -> None:
    """The same video as without the fault, and no segment rendered again that was safe in S3 before."""
    assert bench.video(render) == bench.expected
    sent = bench.stored(render)
    assert len(sent) - len(set(sent)) <= sent_twice, sent


def test_the_undisturbed_render_took_several_segments_of_each_chunk(bench: Bench) -> None:
    assert len(bench.stored(bench.planned)) >= 2 * CHUNKS


def test_killed_while_it_unpacks_then_while_it_starts_the_browser_then_while_it_sends_a_segment(bench: Bench) -> None:
    """Three kills in one render. A segment that is just being sent is sent again."""
    bench.configure(cold=True)
    render = bench.render()

    def kill() -> None:
        bench.signal_runtimes(signal.SIGKILL)

    sending = Rule(SEGMENT, before=kill, status=503, code="SlowDown")
    with bench.proxy.ruled(sending), when(bench.unpacking, kill) as unpacking, when(bench.browsing, kill) as browsing:
        done = bench.run(render)

    assert (bool(unpacking), bool(browsing), sending.seen) == (True, True, 1)
    assert (done.status, set(done.failures)) == ("SUCCEEDED", {"Runtime.ExitError"}), done
    assert len(done.failures) >= 3
    require_same(bench, render, sent_twice=CHUNKS)


def test_hanging_between_two_segments_until_its_time_is_over(bench: Bench) -> None:
    # A time limit within which a machine as busy as this one can do the work from the start.
    bench.configure(timeout=max(12, math.ceil(bench.cold_seconds)))
    render = bench.render()

    with bench.proxy.ruled(Rule(SIDECAR, after=lambda: bench.signal_runtimes(signal.SIGSTOP))):
        done = bench.run(render)

    assert (done.status, set(done.failures)) == ("SUCCEEDED", {"Sandbox.Timedout"}), done
    require_same(bench, render, sent_twice=CHUNKS)


def test_out_of_memory(bench: Bench) -> None:
    """It dies of it until somebody gives it more; the attempt after that goes on."""
    bench.configure(memory_mb=230)
    render = bench.render()
    arn = bench.start(render)
    wait_for(lambda: bench.failures(arn), 60)
    bench.configure()
    done = bench.finish(arn)

    assert (done.status, set(done.failures)) == ("SUCCEEDED", {"Runtime.ExitError"}), done
    require_same(bench, render)


def test_too_small_a_tmp_for_the_tools(bench: Bench) -> None:
    bench.configure(tmp_mb=300)
    render = bench.render()
    failed = bench.run(render)
    bench.configure()

    assert (failed.status, failed.error, len(failed.failures)) == ("FAILED", "DISK_FULL", 1), failed
    assert "the tools need" in failed.cause


def test_a_tmp_that_fills_up_in_the_middle_of_a_chunk(bench: Bench) -> None:
    bench.configure()
    render = bench.render()
    ballast: list[Callable[[], None]] = []

    def act() -> None:
        ballast.extend(fill(folder) for folder in bench.scratch())

    with bench.proxy.ruled(Rule(SEGMENT, before=act)):
        failed = bench.run(render)
    for empty in ballast:
        empty()

    assert (failed.status, failed.error) == ("FAILED", "DISK_FULL"), failed
    assert bench.stored(render)
    assert bench.run(render).status == "SUCCEEDED"
    require_same(bench, render)


def test_a_browser_that_is_only_half_there_is_unpacked_again(bench: Bench) -> None:
    """A runtime that died while it wrote, or a disk that lost the end of a file, leaves it so."""
    bench.configure()
    unpacked = [tools for folder in bench.scratch() for tools in folder.glob(UNPACKED)]
    if not unpacked:
        assert bench.run(bench.render()).status == "SUCCEEDED"
    for folder in bench.scratch():
        for tools in folder.glob(UNPACKED):
            largest = max((path for path in tools.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
            with largest.open("r+b") as file:
                file.truncate(largest.stat().st_size // 2)
    again = bench.render()
    done = bench.run(again)

    assert (done.status, set(done.failures) - {"CHROME_UNAVAILABLE"}) == ("SUCCEEDED", set()), done
    require_same(bench, again)


def test_a_truncated_segment_is_told_and_rendered_again_when_it_is_deleted(bench: Bench) -> None:
    bench.configure()
    render = bench.render()
    truncated: list[str] = []

    def act() -> None:
        segments = [key for key in bench.keys(f"renders/{render}/chunks/") if key.endswith(".mp4")]
        if len(segments) == len(bench.stored(bench.planned)) and not truncated:
            truncated.append(segments[0])
            bench.write(segments[0], bench.read(segments[0])[:-100])

    with bench.proxy.ruled(Rule(r"GET .*/chunks/.*\.mp4\.json|GET .*list-type=2.*chunks", times=100, before=act)):
        failed = bench.run(render)
    assert truncated
    assert (failed.status, failed.error) == ("FAILED", "VERIFICATION_FAILED"), failed
    assert truncated[0] in failed.cause
    bench.connect("s3").delete_object(Bucket=bench.bucket, Key=truncated[0])
    done = bench.run(render)

    assert (done.status, done.failures) == ("SUCCEEDED", []), done
    require_same(bench, render, sent_twice=1)


def test_s3_on_a_bad_day_delays_the_render_and_nothing_else(bench: Bench) -> None:
    """Errors, a garbled blob, throttling and delays, in this order of precedence, in one render."""
    bench.configure()
    render = bench.render()
    rules = (
        Rule(r"(GET|PUT|HEAD) .*/renders/", times=3, status=500),
        Rule(BLOB, garble=True),
        Rule(r"PUT .*/chunks/", times=3, status=503, code="SlowDown"),
        Rule(r"(GET|PUT) .*/(renders|outputs)/", times=12, seconds=0.4),
    )
    with bench.proxy.ruled(*rules):
        done = bench.run(render)

    assert [rule.seen for rule in rules] == [rule.times for rule in rules]
    assert (done.status, done.failures) == ("SUCCEEDED", []), done
    require_same(bench, render, sent_twice=3)


def test_s3_that_stays_away_fails_the_attempt_and_the_next_goes_on(bench: Bench) -> None:
    bench.configure()
    render = bench.render()
    with bench.proxy.ruled(Rule(r"PUT .*/chunks/.*/000000-0-[0-9]+\.mp4$", times=6, status=500)):
        done = bench.run(render)

    assert (done.status, set(done.failures)) == ("SUCCEEDED", {"S3_ACCESS_FAILED"}), done
    require_same(bench, render, sent_twice=6)
