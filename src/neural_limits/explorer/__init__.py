"""The explorer: a page on this machine whose controls recompute a view. The page itself needs the extra `explore`."""

from ._views import VIEWS as VIEWS
