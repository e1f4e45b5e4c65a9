"""The Unix socket: who connects, what is asked, which method answers."""
