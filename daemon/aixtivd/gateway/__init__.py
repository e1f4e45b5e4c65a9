"""The relay as HTTP: who comes in by a socket or a loopback port, what is asked, and the answer, byte for byte."""
