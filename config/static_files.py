"""Static files under names that hold their hash, so that browsers keep them for ever; modules find each other."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

# `import ... from "./page.js";` of our own modules, and of nothing that a package brings.
_IMPORT = (r"""(?P<matched>from "(?P<url>\.\.?/[^"]+)";)""", """from "%(url)s";""")


class ModuleStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Writes the hashed names into our modules' imports too."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (_IMPORT,)))
