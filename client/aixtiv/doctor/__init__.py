"""`aixtiv doctor`: what can be wrong on this machine, each thing looked at or asked for, never guessed."""
