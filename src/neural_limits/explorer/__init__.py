"""The explorer: a page on this machine whose controls recompute a view. Needs the extra `explore`."""

import lazy_loader as _lazy

# The process that computes imports this package too, and has no use for a web server.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
