"""An embedded AWS endpoint for one machine: it runs the stack's template, state machine and handler without an account."""
