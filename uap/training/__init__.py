"""Training the networks that are attacked."""
