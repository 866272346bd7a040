"""The run store: one folder a run, files written whole or not at all, and no pickle anywhere."""

from ._atomic import atomic_write as atomic_write
from ._folder import RunFolder as RunFolder
from ._json import read_json as read_json
from ._json import to_json as to_json
from ._lines import first_line as first_line
from ._netcdf import read_netcdf as read_netcdf
from ._netcdf import to_netcdf as to_netcdf
from ._process import is_alive as is_alive
from ._process import this_process as this_process
from ._status import STATUSES as STATUSES
from ._versions import versions as versions
