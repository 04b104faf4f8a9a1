"""One HTML page on one or several runs, for whoever has a browser; no network, no other file, no tensor library."""
