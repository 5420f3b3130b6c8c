from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest, ProjectNotFound, ProjectRejected
from hyperframes_provider.client.request.project import folder_digest, locate, pack, upload


@pytest.fixture
def connect() -> Iterator[Connect]:
    with mock_aws():
        session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
        client = session.client("s3")
        client.create_bucket(Bucket="renders")
        yield lambda _service: client


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def packed(folder: Path) -> tuple[bytes, list[tarfile.TarInfo]]:
    archive = io.BytesIO()
    pack(folder, archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        return archive.getvalue(), tar.getmembers()


FILES = {"index.html": "<p>", "assets/a.css": "a", "assets/b.css": "b", "compositions/chart.html": "c"}


def test_the_archive_follows_from_paths_and_contents_alone(tmp_path: Path) -> None:
    first = make(tmp_path / "first", FILES)
    second = make(tmp_path / "second", dict(reversed(FILES.items())))
    os.utime(second / "index.html", (1, 1))
    (second / "index.html").chmod(0o700)

    assert packed(first)[0] == packed(second)[0]
    assert folder_digest(first) == folder_digest(second)
    (second / "index.html").write_text("<b>")
    assert folder_digest(first) != folder_digest(second)


def test_the_site_id_of_a_project_without_hidden_files_is_that_of_earlier_versions(tmp_path: Path) -> None:
    folder = make(tmp_path, {"index.html": "<p>", "a/b.css": "b", "a.css": "a"})
    assert folder_digest(folder) == "80a589f3a516e61e8e4cc18bac680f2daac2e6a6c10940dd79a20c4842907161"


def test_members_are_sorted_files_without_owner_or_time(tmp_path: Path) -> None:
    _, members = packed(make(tmp_path, FILES))

    assert [member.name for member in members] == sorted(FILES)
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode, member.isreg()) for member in members} == {
        (0, 0, 0, "", 0o644, True)
    }


def test_what_is_no_part_of_a_project_stays_behind_unless_a_link_leads_to_it(tmp_path: Path) -> None:
    hidden = {".env": "KEY=secret", "assets/.env": "KEY=secret", ".git/HEAD": "x", "assets/.cache/x": "x"}
    make(tmp_path, FILES | hidden | {"assets/__pycache__/x.pyc": "x", "node_modules/gsap/gsap.js": "gsap"})
    (tmp_path / "assets" / "gsap.js").symlink_to(tmp_path / "node_modules" / "gsap" / "gsap.js")

    _, members = packed(tmp_path)

    assert {member.name for member in members} == {*FILES, "assets/gsap.js"}
    assert all(member.isreg() for member in members)


@pytest.mark.parametrize(
    ("link", "target", "words"),
    [
        ("assets/secret", "/etc/passwd", "link assets/secret leads out of the project"),
        ("assets/up", "..", "leads back to a folder that contains it"),
        ("lost.css", "nowhere.css", "leads to nowhere.css, which does not exist"),
        ("assets/outside", "../../", "leads out of the project"),
    ],
)
def test_links_out_of_the_project_or_in_a_circle_are_refused(link: str, target: str, words: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "project", FILES)
    (folder / link).symlink_to(target)

    with pytest.raises(ProjectRejected, match=words):
        folder_digest(folder)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(make(tmp_path, FILES) / "pipe")

    with pytest.raises(ProjectRejected, match="pipe is neither a file nor a folder"):
        folder_digest(tmp_path)


@pytest.mark.parametrize(
    ("project", "error", "words"),
    [
        ("missing", ProjectNotFound, "does not exist"),
        ("project/index.html", ProjectNotFound, "is a file, not a folder"),
        ("empty", ProjectNotFound, "has no index.html"),
        ("s3://studio/recap.zip", ProjectRejected, "not a .tar.gz archive"),
        ("s3://Studio/recap.tar.gz", InvalidRequest, "is not an S3 URI"),
    ],
)
def test_a_project_that_cannot_be_is_refused_by_name(project: str, error, words: str, tmp_path: Path) -> None:
    make(tmp_path / "project", FILES)
    (tmp_path / "empty").mkdir()

    with pytest.raises(error, match=words):
        locate(project if "://" in project else tmp_path / project, bucket="renders", entry="index.html")


def test_a_folder_travels_once_per_content(tmp_path: Path, connect: Connect) -> None:
    folder = make(tmp_path, FILES)
    project = locate(folder, bucket="renders", entry="index.html")
    assert project.archive.key == f"sites/{folder_digest(folder)[:32]}/project.tar.gz"

    first, second = upload(connect, project), upload(connect, project)

    assert (first.uploaded, second.uploaded) == (True, False)
    assert first.size == second.size == len(packed(folder)[0])
    body = connect("s3").get_object(Bucket="renders", Key=project.archive.key)["Body"].read()
    assert body == packed(folder)[0]


def test_a_folder_that_changes_while_it_is_packed_is_not_uploaded_under_the_wrong_name(tmp_path: Path, connect: Connect) -> None:
    project = locate(make(tmp_path, FILES), bucket="renders", entry="index.html")
    (tmp_path / "index.html").write_text("other")

    with pytest.raises(ProjectRejected, match="changed while it was packed"):
        upload(connect, project)
    assert "Contents" not in connect("s3").list_objects_v2(Bucket="renders")


def test_an_archive_on_s3_is_used_as_it_is_and_must_exist(connect: Connect) -> None:
    project = locate("s3://renders/projects/recap.tar.gz", bucket="other", entry="index.html")
    with pytest.raises(ProjectNotFound, match=r"there is no object s3://renders/projects/recap\.tar\.gz"):
        upload(connect, project)

    connect("s3").put_object(Bucket="renders", Key="projects/recap.tar.gz", Body=b"12345")

    assert upload(connect, project).size == 5
