"""Reports: one self-contained HTML page on one or several runs. The package imports no tensor library."""
