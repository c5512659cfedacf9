"""What of a machine's set-up works, what does not, and the command that mends it."""
