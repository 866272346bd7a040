"""Figures from datasets, and one self-contained HTML page a run: no script, no network."""


from ._figures import captions as captions
from ._figures import figures as figures


from ._style import png as png



