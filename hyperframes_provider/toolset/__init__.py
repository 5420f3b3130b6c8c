"""The third-party programs that a machine needs to render: fetched from the package registries, checked, and found again.

`setup` fetches them, `doctor` inspects them, `pins` lists them; the engine reads the resulting `toolset.json`.
"""

from hyperframes_lambda.contract.toolset import toolset_path
from hyperframes_provider.toolset.doctor import ToolStatus, inspect
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.setup import ensure_toolset, read_toolset

__all__ = ["ToolStatus", "ToolsetError", "ensure_toolset", "inspect", "read_toolset", "toolset_path"]
