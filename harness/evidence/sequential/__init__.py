"""Evidence that may be looked at after every request: e-processes over a bank of alternatives. Pure; nats."""
