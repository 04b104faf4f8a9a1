"""metrics.csv: every logged step in a file that any program reads."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only


class MetricsFile(Logger):
    """Keeps one row per logged step; a resumed run continues the file and drops what came after its checkpoint."""

    def __init__(self, path: Path) -> None:
        """Continue `path` where it exists."""
        super().__init__()
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.resumed = path.exists()
        if self.resumed:
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one file per run."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave them to config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Keep a row."""
        if self.resumed:
            self.rows = [row for row in self.rows if int(row["step"]) < (step or 0)]
            self.resumed = False
        self.rows.append({"step": step, **metrics})

    @rank_zero_only
    def save(self) -> None:
        """Write all rows, under another name first."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self.rows:
            self.save()
