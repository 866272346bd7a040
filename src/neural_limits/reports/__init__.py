"""Figures from datasets, and one self-contained HTML page a run or sweep: no network, scripts for sweeps only."""

from ._audit_page import AUDIT_HEADERS as AUDIT_HEADERS
from ._audit_page import AUDIT_NUMBERS as AUDIT_NUMBERS
from ._audit_page import audit_rows as audit_rows
from ._audit_page import write_audit_report as write_audit_report
from ._experiment_page import write_experiment_report as write_experiment_report
from ._figures import captions as captions
from ._figures import figures as figures
from ._rebuild import rebuild as rebuild
from ._run_page import write_report as write_report
from ._style import EDGE as EDGE
from ._style import LAYERS as LAYERS
from ._style import MEASURED as MEASURED
from ._style import PREDICTED as PREDICTED
from ._style import layer_colours as layer_colours
from ._style import png as png
from ._style import spans as spans
from ._sweep_page import INSTALL as INSTALL
from ._sweep_page import best_listing as best_listing
from ._sweep_page import slope_listing as slope_listing
from ._sweep_page import write_sweep_report as write_sweep_report
from ._tables import OUTLIER_HEADERS as OUTLIER_HEADERS
from ._tables import OutlierRow as OutlierRow
from ._tables import outlier_rows as outlier_rows
from ._tables import size as size
from ._tables import summary_rows as summary_rows
