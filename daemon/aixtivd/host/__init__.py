"""What the operating system and its service manager offer."""
