"""The embedded AWS endpoint of one machine: the stack's template, state machine and handler run here without an account."""
