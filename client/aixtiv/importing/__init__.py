"""What other programs left behind on this machine, and how it becomes an account: for `aixtiv import`."""
