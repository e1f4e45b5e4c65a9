"""The daemon as a service of this machine's own manager: installed, asked how it is, taken away without a trace."""
