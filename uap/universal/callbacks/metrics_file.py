"""The file metrics.csv with the metrics of every logged step."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from uap.utils.atomic_file import atomic_file


class MetricsFile(Logger):
    """A logger that writes one row per logged step; a resumed run removes the rows after its checkpoint."""

    def __init__(self, path: Path) -> None:
        """Set the path of the file, which is continued if it exists."""
        super().__init__()
        self.path = path
        self.resumed = path.exists()
        self.columns: list[str] = []

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """The version of the logger, which is empty: there is one file per run."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml has the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row; a new column is added to all rows."""
        row = {"step": step or 0, **metrics}
        if self.resumed:
            rows = self._rows()
            self.columns = list((rows or [{}])[0])
            self._rewrite([kept for kept in rows if int(kept["step"]) < row["step"]])
            self.resumed = False
        new = [name for name in row if name not in self.columns]
        if new:
            rows = self._rows() if self.columns else []
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _rows(self) -> list[dict[str, str]]:
        """Return the valid rows: the last row may be truncated, and the file may have another content."""
        with self.path.open(newline="", errors="replace") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if None not in row and None not in row.values() and row.get("step", "").isdecimal()]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomic_file(self.path) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
