"""The bridge to remote MCP servers: their messages between a client's pipe and HTTP, which the daemon carries."""
