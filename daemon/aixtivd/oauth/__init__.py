"""What is said to authorization servers, and what their answers mean."""
