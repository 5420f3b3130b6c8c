from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from hyperframes_lambda import composition
from hyperframes_lambda.composition import ServedFile, compile_project
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

HOST = '<div data-composition-id={id} data-composition-src="{src}" data-start=0></div>'
SCENE = (
    "<html><head><style>.t{{color:red}}</style></head><body>"
    "<div data-composition-id=scene>{inner}</div><script>code()</script></body></html>"
)


def compiled(folder: Path, entry: str = "index.html", fps: Fraction = Fraction(30)) -> dict[str, ServedFile]:
    return compile_project(folder, entry, runtime_js=b"/* runtime */", fps=fps)


def text(files: dict[str, ServedFile], path: str) -> str:
    return files[path].read().decode()


def test_every_page_gets_virtual_time_and_the_entry_page_the_runtime_and_the_bridge(project: Callable[..., Path]) -> None:
    files = compiled(
        project({"index.html": "<head></head><body></body>", "sub/frame.html": "<p>", "sub/a.css": "a{}"}), fps=Fraction(30000, 1001)
    )

    order = [text(files, "index.html").find(name) for name in ("virtual_time.js", "runtime.js", "</head>", "bridge.js", "</body>")]
    assert order == sorted(order)
    assert -1 not in order
    assert "virtual_time.js" in text(files, "sub/frame.html")
    assert "bridge.js" not in text(files, "sub/frame.html")
    assert text(files, "__hyperframes/runtime.js") == "/* runtime */"
    assert '"fps": 29.97002997' in text(files, "__hyperframes/bridge.js")
    assert files["sub/a.css"].content_type == "text/css; charset=utf-8"
    assert files["sub/a.css"].path is not None


def test_the_bridge_is_every_part_in_the_scope_of_one_function(project: Callable[..., Path]) -> None:
    lines = text(compiled(project({"index.html": "<p>"})), "__hyperframes/bridge.js").splitlines()
    scripts = Path(composition.__file__).parent / "scripts" / "bridge"

    assert {line.split()[1] for line in lines if line.startswith("const ")} | {"engine"} == {part.stem for part in scripts.glob("*.js")}
    assert lines[1:3] == ["(() => {", '"use strict";']
    assert lines[-1] == "})();"


def test_compiling_twice_gives_the_same_bytes(project: Callable[..., Path]) -> None:
    folder = project(
        {
            "index.html": HOST.format(id="a", src="s.html") * 2,
            "s.html": SCENE.format(inner=HOST.format(id="n", src="n.html")),
            "n.html": SCENE.format(inner="x"),
        }
    )

    first, second = compiled(folder), compiled(folder)

    assert list(first) == list(second)
    assert {path: file.read() for path, file in first.items()} == {path: file.read() for path, file in second.items()}


def test_hidden_files_are_not_served_and_links_out_of_the_project_are_refused(project: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = project({"index.html": "x", ".env": "KEY", ".git/config": "x"})
    assert {path for path in compiled(folder) if not path.startswith("__hyperframes/")} == {"index.html", "gsap.min.js"}

    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RenderError, match=r"out\.txt leads out of the project") as caught:
        compiled(folder)
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_a_page_that_is_not_utf8_keeps_its_bytes(project: Callable[..., Path]) -> None:
    files = compiled(project({"index.html": b"<head><meta charset=windows-1252></head><body>\xe9\x93</body>"}))

    assert b"<body>\xe9\x93<script" in files["index.html"].read()
    assert files["index.html"].content_type == "text/html"


@pytest.mark.parametrize("source", ["missing.html", "../outside.html", "https://example.com/scene.html", "scenes/../../x.html"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_sub_composition_that_is_not_in_the_project_is_named_with_file_and_line(
    project: Callable[..., Path], source: str, nested: bool
) -> None:
    host = "\n\n" + HOST.format(id="s", src=source)
    files = (
        {"index.html": HOST.format(id="a", src="scene.html"), "scene.html": SCENE.format(inner=host)} if nested else {"index.html": host}
    )

    with pytest.raises(RenderError) as caught:
        compiled(project(files))

    assert caught.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert ("scene.html line 3" if nested else "index.html line 3") in caught.value.message
    assert repr(source) in caught.value.message


def test_sub_compositions_that_include_each_other_are_an_error(project: Callable[..., Path]) -> None:
    folder = project(
        {
            "index.html": HOST.format(id="a", src="a.html"),
            "a.html": SCENE.format(inner=HOST.format(id="b", src="b.html")),
            "b.html": SCENE.format(inner=HOST.format(id="a", src="a.html")),
        }
    )

    with pytest.raises(RenderError, match=r"b\.html line 1: sub-compositions include each other: a\.html → b\.html → a\.html") as caught:
        compiled(folder)

    assert caught.value.code is ErrorCode.COMPOSITION_ERROR


def test_a_nested_sub_composition_is_flattened_into_the_file_that_is_mounted(project: Callable[..., Path]) -> None:
    inner = (
        "<template id=leaf-template><div id=root data-composition-id=leaf data-width=10 data-height=20 "
        """data-composition-variables='[{"id":"t","default":"declared"},{"id":"u","default":1}]'>"""
        "<style>#root .t{color:blue}</style><p class=t id=p>x</p><label for=p></label><img src=../pic.png>"
        "<script>use('</p>')</script></div></template>"
    )
    host = """<div data-composition-id=leaf data-composition-src=leaf.html data-start=1 data-variable-values='{"t":"given"}'>old</div>"""
    folder = project(
        {
            "index.html": "<p id=p></p>" + HOST.format(id="scene", src="parts/scene.html"),
            "parts/scene.html": SCENE.format(inner=host),
            "parts/leaf.html": inner,
            "pic.png": b"",
        }
    )

    served = text(compiled(folder), "parts/scene.html")

    assert "data-composition-src" not in served
    assert "old" not in served
    assert 'data-hf-inner-root="true" data-hf-authored-id="root"' in served
    assert '[data-composition-id="leaf"] [data-hf-authored-id="root"] .t {color:blue;}' in served
    assert '<p class=t id="leaf--p">x</p><label for="leaf--p">' in served
    assert '<img src="/pic.png">' in served
    assert '{"leaf": {"t": "given", "u": 1}}' in served
    assert "use('</p>')" in served
    assert served.index("code()") < served.index("use(")


def test_two_mounts_of_a_file_with_nested_hosts_get_ids_of_their_own(project: Callable[..., Path]) -> None:
    folder = project(
        {
            "index.html": HOST.format(id="scene", src="scene.html") * 2,
            "scene.html": SCENE.format(inner=HOST.format(id="leaf", src="leaf.html")),
            "leaf.html": "<div data-composition-id=leaf></div>",
        }
    )

    files = compiled(folder)

    assert 'data-composition-src="/scene.2.html"' in text(files, "index.html")
    assert 'data-composition-id="leaf"' in text(files, "scene.html")
    assert 'data-composition-id="leaf--2"' in text(files, "scene.2.html")


def test_a_project_without_nesting_is_served_as_it_is_written(project: Callable[..., Path]) -> None:
    scene = SCENE.format(inner="<p CLASS='a'   id=x>text &amp; more")
    files = compiled(project({"index.html": HOST.format(id="scene", src="scene.html"), "scene.html": scene}))

    head = "".join(f'<script src="/__hyperframes/{name}.js"></script>' for name in ("virtual_time", "sound", "media"))
    assert text(files, "scene.html") == scene.replace("<head>", f"<head>{head}")
