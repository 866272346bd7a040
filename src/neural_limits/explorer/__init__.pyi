from ._server import serve as serve
from ._views import VIEWS as VIEWS
