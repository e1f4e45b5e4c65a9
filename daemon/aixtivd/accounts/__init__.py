"""What can be done with an account, and keeping its tokens fresh."""
