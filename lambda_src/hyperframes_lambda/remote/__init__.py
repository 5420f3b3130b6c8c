"""Remote files, fetched and recorded once when a render is planned, and replayed from the plan to every chunk.

    with Recorder(folder, allowed_hosts=config.allowed_hosts, npm=tools.npm) as remote:
        browser.open(PageSpec(url, …, remote=remote))         # answers every request that leaves the served project
        remote.fetch_media("https://…/clip.mp4", "<video>")   # key of the file among `remote.files()`
        remote.files(), remote.responses()                  # for the manifest
    Replay(manifest.remote, files)                          # the same in a chunk: ASSET_UNAVAILABLE for anything not recorded

When a content network cannot be reached, the package registry answers its npm-backed addresses, and `@fontsource` those of Google Fonts.
"""

from __future__ import annotations

from hyperframes_lambda.remote.record import Recorder
from hyperframes_lambda.remote.replay import Replay

__all__ = ["Recorder", "Replay"]
