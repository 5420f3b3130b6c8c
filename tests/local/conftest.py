"""One real endpoint for the tests of this folder, with a function, and a final check that it left nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.local import endpoint, processes
from hyperframes_provider.local.endpoint import ENDPOINT_MARK
from tests.local.deployed import Deployed, function_zip


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A running endpoint with a bucket and the sample function's code in it."""
    state_dir, outputs = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("renders") / "outputs"
    with pytest.MonkeyPatch.context() as surroundings:
        # Functions inherit the first two, but not the third.
        surroundings.setenv("HYPERFRAMES_TOOLSET", "/of/this/machine/toolset.json")
        surroundings.setenv("NODE_EXTRA_CA_CERTS", "/of/this/machine/authority.pem")
        surroundings.setenv("AWS_SECRET_ACCESS_KEY", "real-secret-of-this-machine")
        info = endpoint.up(outputs=outputs, state_dir=state_dir)
    try:
        connect = connect_local(info.url)
        connect("iam").create_role(RoleName="test", AssumeRolePolicyDocument="{}")
        s3 = connect("s3")
        s3.create_bucket(Bucket="testing")
        s3.put_object(Bucket="testing", Key="code/function.zip", Body=function_zip())
        yield Deployed(info, state_dir, connect, "testing")
    finally:
        endpoint.down(state_dir)
    assert processes.marked(ENDPOINT_MARK, str(state_dir)) == []
    assert not (state_dir / "tmp").exists()


@pytest.fixture(scope="session")
def function(local_aws: Deployed) -> str:
    return local_aws.function("sample")
