"""The paper's experiments: tables of many cells, each measured once and kept, and their page.

`run_experiment` measures what is missing in a folder of results, `write_page` renders it.
"""

from paper.cell import Cell, CellRecord
from paper.compared import compared, write_compared
from paper.network import NetworkSource, source_of
from paper.page import page, write_page
from paper.rows import QCFS_ROWS, RELU_ROWS, SEEDS, STEPS, Row
from paper.run import run_experiment
from paper.store import NetworkStore
from paper.subject import Settings

__all__ = [
    "QCFS_ROWS",
    "RELU_ROWS",
    "SEEDS",
    "STEPS",
    "Cell",
    "CellRecord",
    "NetworkSource",
    "NetworkStore",
    "Row",
    "Settings",
    "compared",
    "page",
    "run_experiment",
    "source_of",
    "write_compared",
    "write_page",
]
