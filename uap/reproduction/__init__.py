"""Tables and figures of papers, one command each: a YAML file says what is run, one runner runs it."""
