"""The project as the browser sees it: HTML rewriting, page scripts, declarations, loopback server.

    files = compile_project(project_dir, "index.html", runtime_js=…, fps=Fraction(30))    # {URL path: ServedFile}
    files["index.html"].content_type, files["index.html"].read()                          # read() returns bytes
    declaration = declared(project_dir, "index.html")     # .width .height .fps .duration (each None when absent) .variables
    check_variables(declaration.variables, {"title": 3})  # INVALID_CONFIG with the variable and its type
    with serve({"index.html": (Path, "text/html; charset=utf-8")}) as base_url: ...       # "http://127.0.0.1:PORT/"

A plan stores the compiled files and every chunk serves them, byte for byte. Driving the page is left to `browser`.
"""

from __future__ import annotations

from hyperframes_lambda.composition.captions import requested_captions
from hyperframes_lambda.composition.declared import Declaration, Variable, check_variables, declared
from hyperframes_lambda.composition.files import ServedFile
from hyperframes_lambda.composition.project import compile_project
from hyperframes_lambda.composition.server import serve

__all__ = ["Declaration", "ServedFile", "Variable", "check_variables", "compile_project", "declared", "requested_captions", "serve"]
