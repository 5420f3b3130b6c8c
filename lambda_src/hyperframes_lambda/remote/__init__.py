"""Remote files: fetched and recorded once, when a render is planned; replayed from the plan to every chunk.

    with Recorder(folder, allowed_hosts=config.allowed_hosts, npm=tools.npm) as remote:
        browser.open(url, remote=remote, …)                 # answers every request that leaves the served project
        remote.fetch_media("https://…/clip.mp4", "<video>")   # key of the file among `remote.files()`
        remote.files(), remote.responses()                  # what the manifest takes
    Replay(manifest.remote, files)                          # the same in a chunk: ASSET_UNAVAILABLE for what was not recorded

Where a content network cannot be reached, its npm-backed addresses come from the package registry, and Google Fonts from `@fontsource`.
"""

from __future__ import annotations

from hyperframes_lambda.remote.record import Recorder
from hyperframes_lambda.remote.replay import Replay

__all__ = ["Recorder", "Replay"]
